/** What a call would reserve, and why: `keybrake quote`. Pure: asks neither the ledger nor the vendor. */
import { Refusal } from "../errors.ts";
import type { Json, Operation, Vendor } from "./vendor.ts";

export interface Explanation {
  endpoint: string;
  kind: "priced" | "free";
  /** `null`: the vendor must be asked first (`lookup` names the read). */
  micros: number | null;
  currency: string | null;
  amountMinor: number | null;
  why: string;
  /** The read that the proxy makes before pricing. */
  lookup: string | null;
}

export interface ExplainInput {
  method: string;
  /** The vendor's own path, with or without `/<vendor>` in front; a query after `?` is taken. */
  path: string;
  /** `name=value` as for curl's `-d`; for JSON vendors the value is read as JSON where it is JSON, and a repeated name is a list. */
  fields: readonly string[];
  accounts?: readonly string[];
  assumeMicros?: number | null;
}

/** Throws the same `Refusal` that the proxy would answer. */
export function explain(vendor: Vendor, input: ExplainInput): Explanation {
  const [path = "", query = ""] = input.path.split("?", 2);
  const segments = path.replace(/^\//, "").split("/");
  const own = segments[0] === vendor.id ? segments.slice(1) : segments;
  const operation = vendor.find(input.method.toUpperCase(), own);
  const request = parse(vendor, operation, input, query);
  const lookup = vendor.lookupTarget(operation, request);
  const base = { endpoint: operation.endpoint, kind: operation.kind, currency: null, amountMinor: null, lookup };
  if (lookup !== null) return { ...base, micros: null, why: `priced from what GET ${lookup} answers` };
  const quote = vendor.quote(operation, request, undefined, input.assumeMicros ?? null);
  return { ...base, micros: quote.micros, currency: quote.currency, amountMinor: quote.amountMinor, why: quote.why };
}

function parse(vendor: Vendor, operation: Operation, input: ExplainInput, query: string) {
  const attempt = (contentType: string, body: string) =>
    vendor.parse(operation, {
      query,
      contentType: body === "" ? null : contentType,
      body: Buffer.from(body, "utf8"),
      headers: {},
      // Whose account it is does not change the price.
      accounts: [...(input.accounts ?? []), ...Object.values(operation.params)],
      ownAccount: null,
    });
  try {
    return attempt("application/x-www-form-urlencoded", formText(input.fields));
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "media_type_unsupported") throw error;
    return attempt("application/json", jsonText(input.fields));
  }
}

function split(field: string): [string, string] {
  const at = field.indexOf("=");
  if (at < 1) throw new Refusal("request_invalid", `write fields as name=value, not \`${field.slice(0, 80)}\``);
  return [field.slice(0, at), field.slice(at + 1)];
}

function formText(fields: readonly string[]): string {
  return fields.map((field) => split(field).map(encodeURIComponent).join("=")).join("&");
}

function jsonText(fields: readonly string[]): string {
  const body = new Map<string, Json>();
  for (const field of fields) {
    const [name, text] = split(field);
    const value = jsonValue(text);
    const held = body.get(name);
    body.set(name, held === undefined ? value : Array.isArray(held) ? [...held, value] : [held, value]);
  }
  return JSON.stringify(Object.fromEntries(body));
}

function jsonValue(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return text;
  }
}
