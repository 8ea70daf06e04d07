/** Finds the operation of a request line: the never-list first, then the rules, then the free operations; else refused. */
import { Refusal } from "../errors.ts";
import { invalid } from "./codec/limits.ts";
import type { Connector } from "./connector.ts";
import { checkSegment, matchesNever, matchTemplate, parseNever } from "./paths.ts";
import { type CompiledRule, subdomainOf } from "./rule.ts";
import type { Operation, Vendor } from "./vendor.ts";

export interface Findable {
  connector: Connector;
  rules: CompiledRule[];
  /** Rules by method and number of segments. */
  byShape: Map<string, CompiledRule[]>;
}

/** `/v1/charges/search` before `/v1/charges/{id}`. */
export function literalsFirst(a: CompiledRule, b: CompiledRule): number {
  for (const [index, part] of a.template.entries()) {
    const difference = Number(part.literal === null) - Number(b.template[index]?.literal === null);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function finder({ connector, rules, byShape }: Findable): Vendor["find"] {
  const never = connector.never.map(parseNever);
  const host = new URL(connector.upstream).hostname;
  const literal = literalOperations(rules);
  return (method, given) => {
    const known = literal.get(`${method} /${given.join("/")}`);
    if (known) return known;
    // Some clients name the host in the path; the upstream's own name says nothing new.
    const segments = given[0] === host ? given.slice(1) : given;
    if (segments.length === 0 || !segments.every(checkSegment))
      throw invalid("the path has a segment that is not taken");
    const bare = subdomainOf(connector, segments[0]!) === null ? segments : segments.slice(1);
    const folded = bare.map((segment) => segment.toLowerCase());
    const shown = `\`${method} /${segments.join("/").slice(0, 160)}\``;
    if (never.some((each) => matchesNever(each, method, folded))) {
      throw new Refusal(
        "endpoint_not_allowed",
        `${shown} is never forwarded: it can hand out credentials or reach around the cap`,
      );
    }
    for (const rule of byShape.get(`${method} ${segments.length}`) ?? []) {
      const params = matchTemplate(rule.template, segments);
      if (params) return operationOf(rule, params, `/${bare.join("/")}`);
    }
    throw new Refusal("endpoint_unpriced", `no rule of ${connector.id} names ${shown}`);
  };
}

/** Endpoints without parameters, ready to be looked up; none of them is on the never-list (checked at load). */
function literalOperations(rules: CompiledRule[]): Map<string, Operation> {
  const literal = rules.filter((rule) => rule.template.every((part) => part.literal !== null));
  return new Map(
    literal.map((rule) => [
      rule.endpoint,
      Object.freeze(operationOf(rule, {}, `/${rule.path.map((part) => part.literal).join("/")}`)),
    ]),
  );
}

function operationOf(rule: CompiledRule, params: Record<string, string>, path: string): Operation {
  return {
    kind: rule.kind,
    endpoint: rule.endpoint,
    method: rule.method,
    path,
    subdomain: rule.subdomain,
    params,
    maxBodyBytes: rule.maxBodyBytes,
    idempotent: rule.idempotent,
    shield: rule.kind === "priced" || rule.method !== "GET",
    stream: rule.kind === "free" && rule.method === "GET",
  };
}

/** The operation's path as its template has it: with the subdomain's host in front. */
export function segmentsOf(connector: Connector, operation: Operation): string[] {
  const segments = operation.path.slice(1).split("/");
  if (operation.subdomain === null) return segments;
  const host = new URL(connector.upstream).hostname;
  return [`${operation.subdomain}${host.slice(host.indexOf("."))}`, ...segments];
}
