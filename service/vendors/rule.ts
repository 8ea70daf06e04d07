/** One rule of a connector, compiled: its expressions, its path, and what it sees of a request. */
import { Refusal } from "../errors.ts";
import type { Endpoint } from "./allow-list.ts";
import { type CelValue, toCelFields } from "./cel-values.ts";
import type { Connector, Requirement, Rule } from "./connector.ts";
import type { Context, Expression } from "./expressions.ts";
import type { TemplateSegment } from "./paths.ts";
import type { Json, JsonObject, VendorRequest } from "./vendor.ts";

export interface CompiledRequirement {
  that: Expression;
  code: Requirement["code"];
  sentence: string;
}

export interface CompiledOutcome {
  status: number;
  when: Expression | null;
  outcome: "release" | "unknown";
}

export interface CompiledPin {
  field: string[];
  value: Expression;
  when: Expression | null;
  /** Written with the call's id, known only when the call is reserved. */
  tagged: boolean;
}

export interface CompiledQuote {
  micros: Expression;
  currency: Expression | null;
  amount: Expression | null;
  object: Expression | null;
  why: string;
}

export interface CompiledCost {
  micros: Expression;
  currency: Expression | null;
  amount: Expression | null;
  id: Expression | null;
  object: Expression | null;
  pending: Expression | null;
}

export interface CompiledRule extends Endpoint {
  kind: "priced" | "free";
  /** The template without the subdomain's segment. */
  path: TemplateSegment[];
  subdomain: string | null;
  require: CompiledRequirement[];
  fields: ReadonlySet<string> | null;
  /** Name under which a list body is kept; `null`: the body is a map. */
  list: string | null;
  lookup: { target: string; when: Expression | null }[];
  /** `null` for free operations; text: why no bound can be told. */
  quote: CompiledQuote | string | null;
  cost: CompiledCost | null;
  pins: CompiledPin[];
  outcomes: CompiledOutcome[];
  idempotent: boolean;
  maxBodyBytes: number;
  maxFields: number;
  /** Fields of each variable that any expression reads; `null`: all. */
  reads: { body: ReadonlySet<string> | null; found: ReadonlySet<string> | null; response: ReadonlySet<string> | null };
  source: Rule | null;
}

/** The label of `verify.twilio.com` for a connector of `https://api.twilio.com` that lists `verify`. */
export function subdomainOf(connector: Pick<Connector, "upstream" | "subdomains">, segment: string): string | null {
  const host = new URL(connector.upstream).hostname;
  const domain = host.slice(host.indexOf(".") + 1);
  return connector.subdomains.find((label) => segment === `${label}.${domain}`) ?? null;
}

/** The variables of a request; forms carry text only, so that their parse serves as it is. */
export function requestContext(
  rule: CompiledRule,
  request: VendorRequest,
  params: Record<string, string>,
  textOnly: boolean,
): Context {
  return {
    body: textOnly ? (request.body as CelValue) : toCelFields(request.body, rule.reads.body),
    path: params,
    query: request.query as CelValue,
    found: {},
  };
}

export function foundContext(rule: CompiledRule, found: Json | undefined): CelValue {
  return isObject(found) ? toCelFields(found, rule.reads.found) : {};
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws the first requirement's refusal that does not hold. */
export function checkRequirements(rule: CompiledRule, context: Context): void {
  for (const each of rule.require) if (each.that.run(context) !== true) throw new Refusal(each.code, each.sentence);
}
