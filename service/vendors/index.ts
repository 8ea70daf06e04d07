/** The vendors of one proxy: the built-in connectors and the user's own, through one door. */
import { z } from "zod";
import { reservedWords } from "../reserved-words.ts";
import { type Connector, checkConnector } from "./connector.ts";
import { compileConnector } from "./engine.ts";
import { type Rates, ratesSchema } from "./money-functions.ts";
import { resend } from "./resend.ts";
import { stripe } from "./stripe.ts";
import { twilio } from "./twilio.ts";
import type { Vendor } from "./vendor.ts";

/** Ids that no vendor may have: the control plane's routes, bare paths, what Cloud Run may answer itself, and names of every object. */
const RESERVED = new Set([...reservedWords, "openapi", "healthz", "v1", "v2", "constructor", "prototype"]);

export const builtIn: readonly unknown[] = [stripe, twilio, resend];

const usd = z.string().regex(/^\d{1,9}(\.\d{1,9})?$/, 'write dollars as text: "0.0083"');
const ownPrices = z.record(
  z.string(),
  z.strictObject({
    tables: z
      .record(
        z.string(),
        z.strictObject({
          date: z.iso.date(),
          source: z.string().default("the operator"),
          entries: z.record(z.string(), usd),
          default: usd.optional(),
        }),
      )
      .default({}),
    prices: z
      .record(z.string(), z.strictObject({ usd, date: z.iso.date(), source: z.string().default("the operator") }))
      .default({}),
  }),
);

/** The user's file: a list of connectors, or this object. */
const fileSchema = z.strictObject({
  connectors: z.array(z.unknown()).max(100).default([]),
  rates: ratesSchema.optional(),
  /** Own figures in place of a connector's `tables` and `prices`, by connector id. */
  prices: ownPrices.default({}),
});

export interface LoadOptions {
  /** The user's JSON, parsed: a list of connectors, `{connectors, rates, prices}`, or `undefined`. */
  connectors?: unknown;
  /** Dated rates of currencies other than usd; they win over those of the file. Default: usd only. */
  rates?: Rates;
  /** Milliseconds since the epoch: rates age by it. */
  now: () => number;
}

/**
 * Checks and compiles every connector.
 * @returns vendors by id.
 * Throws an `Error` whose one sentence names the connector, the path and what to write.
 */
export function loadVendors(options: LoadOptions): Map<string, Vendor> {
  const file = readFile(options.connectors);
  const rates = options.rates ?? file.rates ?? {};
  const vendors = new Map<string, Vendor>();
  const inputs = [
    ...builtIn.map((each, index) => [each, `built-in[${index}]`] as const),
    ...file.connectors.map((each, index) => [each, `connectors[${index}]`] as const),
  ];
  for (const [input, where] of inputs) {
    const connector = withOwnPrices(checkConnector(input, where), file.prices[idOf(input)]);
    checkId(connector.id, where, vendors);
    vendors.set(connector.id, compileConnector(connector, { rates, now: options.now }));
  }
  for (const id of Object.keys(file.prices))
    if (!vendors.has(id)) throw new Error(`prices.${id}: there is no connector \`${id}\``);
  return vendors;
}

function readFile(input: unknown): z.output<typeof fileSchema> {
  const result = fileSchema.safeParse(
    input === undefined || input === null ? {} : Array.isArray(input) ? { connectors: input } : input,
  );
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new Error(
    `connectors refused: ${issue.path.join(".") || "the file"}: ${issue.message}; write a list of connectors or {"connectors": […], "rates": {…}, "prices": {…}}`,
  );
}

function idOf(input: unknown): string {
  return typeof input === "object" && input !== null && "id" in input ? String(input.id) : "";
}

function checkId(id: string, where: string, vendors: ReadonlyMap<string, Vendor>): void {
  if (RESERVED.has(id)) throw new Error(`${where}.id: \`${id}\` is a route of the proxy; take another id`);
  if (vendors.has(id)) throw new Error(`${where}.id: there is a connector \`${id}\` already; take another id`);
}

function withOwnPrices(connector: Connector, own: z.output<typeof ownPrices>[string] | undefined): Connector {
  if (!own) return connector;
  for (const kind of ["tables", "prices"] as const) {
    for (const name of Object.keys(own[kind])) {
      if (!Object.hasOwn(connector[kind], name)) {
        throw new Error(
          `prices.${connector.id}.${kind}.${name}: the connector has only ${Object.keys(connector[kind]).join(", ") || "none"}`,
        );
      }
    }
  }
  return {
    ...connector,
    tables: { ...connector.tables, ...own.tables },
    prices: { ...connector.prices, ...own.prices },
  };
}
