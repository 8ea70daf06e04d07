import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { formatUsd, parseUsd } from "../../money.ts";
import type { Explanation } from "../../vendors/explain.ts";
import type { Vendor } from "../../vendors/vendor.ts";
import { collect, usd } from "../arguments.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { addJsonOption, type Cell, fieldsText, wantsJson, write, writeJson } from "../output.ts";
import type { Surroundings } from "../surroundings.ts";

interface QuoteOptions {
  vendor: string;
  connectors?: string;
  account?: string[];
  assumeUsd?: string;
  json?: boolean;
}

export function addQuote(program: Command, around: Surroundings): void {
  const command = program
    .command("quote")
    .description("what would a call reserve, and why; works offline and sends nothing")
    .argument("<method>", "POST, GET, …")
    .argument("<path>", "the vendor's own path")
    .argument("[fields...]", "the body as name=value; brackets nest for Stripe, a repeated name is a list")
    .requiredOption("--vendor <id>", "whose call it is: stripe, twilio, resend, or one of your connectors")
    .option("--connectors <file>", "your own connectors (default: KEYBRAKE_CONNECTORS)")
    .option("--account <account>", "vendor account that the key would list; repeat for several", collect)
    .option("--assume-usd <dollars>", "the key's assume_usd, for a call that cannot be priced", usd);
  addJsonOption(command).addHelpText(
    "after",
    `
Exit code 1 when the proxy would refuse the call, with its reason.

Examples:
  $ keybrake quote --vendor stripe -- POST /v1/payment_intents amount=4000 currency=usd 'metadata[run]=7'
  $ keybrake quote --vendor resend -- POST /emails from=a@example.com to=b@example.com to=c@example.com subject=Hi text=Hello`,
  );
  command.action(async (method: string, path: string, fields: string[], options: QuoteOptions) => {
    checkForm(method, path, fields);
    const vendor = await findVendor(around, options);
    const { explain } = await import("../../vendors/explain.ts");
    const explained = explain(vendor, {
      method,
      path,
      fields,
      accounts: options.account ?? [],
      assumeMicros: options.assumeUsd === undefined ? null : parseUsd(options.assumeUsd),
    });
    if (wantsJson(around, options)) await writeJson(around, asJson(vendor, explained));
    else await write(around, asText(vendor, explained));
  });
}

function checkForm(method: string, path: string, fields: readonly string[]): void {
  if (!/^[A-Za-z]{3,7}$/.test(method))
    throw new UsageFailure(
      `\`${method}\` is no HTTP method: write for example \`-- POST /v1/payment_intents amount=4000\``,
    );
  if (!path.startsWith("/"))
    throw new UsageFailure(`\`${path}\` is no path: write the vendor's own, such as /v1/payment_intents`);
  const odd = fields.find((field) => field.indexOf("=") < 1);
  if (odd !== undefined) throw new UsageFailure(`\`${odd}\` is no field: write name=value, such as amount=4000`);
}

/** Connectors load slowly beside the other commands, so they are imported here. */
async function findVendor(around: Surroundings, options: QuoteOptions): Promise<Vendor> {
  const { loadVendors } = await import("../../vendors/index.ts");
  const connectors = await readConnectors(around, options.connectors);
  let vendors: ReadonlyMap<string, Vendor>;
  try {
    vendors = loadVendors({ connectors, now: around.now });
  } catch (error) {
    throw new CommandFailure(error instanceof Error ? error.message : String(error));
  }
  const vendor = vendors.get(options.vendor);
  if (vendor) return vendor;
  const known = [...vendors.keys()].join(", ");
  throw new UsageFailure(
    `\`--vendor ${options.vendor}\` is none of ${known}: choose one, or add yours with --connectors`,
  );
}

/** As the service reads KEYBRAKE_CONNECTORS: JSON, or a file that holds it. */
async function readConnectors(around: Surroundings, file: string | undefined): Promise<unknown> {
  const source = file === undefined ? "KEYBRAKE_CONNECTORS" : "--connectors";
  const given = file ?? around.env.KEYBRAKE_CONNECTORS?.trim();
  if (!given) return undefined;
  const inline = file === undefined && /^[[{]/.test(given);
  let text = given;
  if (!inline) {
    const path = given.replace(/^file:/, "");
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new UsageFailure(`\`${source}\`: ${path} cannot be read (${code}): name a JSON file of connectors`);
    }
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageFailure(`\`${source}\` is not JSON: give a list of connectors`);
  }
}

function asJson(vendor: Vendor, explained: Explanation): Record<string, unknown> {
  const { endpoint, kind, micros, currency, amountMinor, why, lookup } = explained;
  return {
    vendor: vendor.id,
    endpoint,
    kind,
    reserve_usd: micros === null ? null : formatUsd(micros),
    reserve_micros: micros,
    currency,
    amount_minor: amountMinor,
    why,
    lookup,
  };
}

function asText(vendor: Vendor, { endpoint, micros, why, lookup }: Explanation): string {
  const lines: [string, Cell][] = [
    ["call", `${vendor.id} ${endpoint}`],
    ["reserves", micros === null ? "what the vendor's object says; it is read first" : `$${formatUsd(micros)}`],
    ["why", why],
  ];
  if (lookup !== null) lines.push(["read first", `GET ${lookup}`]);
  return fieldsText(lines);
}
