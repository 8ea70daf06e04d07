/** Compiles a rule or a free operation: every expression type-checked, every path parsed. Throws an `Error` that names the place. */
import type { Connector, Requirement, Rule } from "./connector.ts";
import type { Compile, Expression } from "./expressions.ts";
import { parseTemplate, type TemplateSegment } from "./paths.ts";
import {
  type CompiledOutcome,
  type CompiledPin,
  type CompiledRequirement,
  type CompiledRule,
  subdomainOf,
} from "./rule.ts";

export const DEFAULT_MAX_BODY_BYTES = 262_144;

type FreeRule = { endpoint: string; require: Requirement[]; fields?: string[] | undefined };

export function compileFree(free: Connector["free"][number], connector: Connector, compile: Compile): CompiledRule {
  const rule: FreeRule = typeof free === "string" ? { endpoint: free, require: [] } : free;
  const where = `${connector.id}: \`${rule.endpoint}\``;
  return finish(
    {
      ...shape(rule.endpoint, connector, where),
      kind: "free",
      require: requirements(rule.require, compile, where),
      fields: fieldSet(rule.fields),
    },
    null,
    connector,
  );
}

export function compileRule(rule: Rule, connector: Connector, compile: Compile): CompiledRule {
  const where = `${connector.id}: \`${rule.endpoint}\``;
  const at = (name: string) => `${where}.${name}`;
  const optional = (
    stage: Parameters<Compile>[0],
    source: string | undefined,
    want: Parameters<Compile>[2],
    name: string,
  ) => (source === undefined ? null : compile(stage, source, want, at(name)));
  const { quote, cost } = rule;
  return finish(
    {
      ...shape(rule.endpoint, connector, where),
      kind: "priced",
      require: requirements(rule.require, compile, where),
      fields: fieldSet(rule.fields),
      list: rule.list ?? null,
      lookup: rule.lookup.map(({ target, when }) => ({
        target,
        when: optional("request", when, "bool", "lookup.when"),
      })),
      quote:
        "unbounded" in quote
          ? quote.unbounded
          : {
              micros: compile("quote", quote.micros, "int", at("quote.micros")),
              currency: optional("quote", quote.currency, "string", "quote.currency"),
              amount: optional("quote", quote.amount, "scalar", "quote.amount"),
              object: optional("quote", quote.object, "string", "quote.object"),
              why: quote.why,
            },
      cost: cost
        ? {
            micros: compile("cost", cost.micros, "int", at("cost.micros")),
            currency: optional("cost", cost.currency, "string", "cost.currency"),
            amount: optional("cost", cost.amount, "scalar", "cost.amount"),
            id: optional("cost", cost.id, "string", "cost.id"),
            object: optional("cost", cost.object, "string", "cost.object"),
            pending: optional("cost", cost.pending, "bool", "cost.pending"),
          }
        : null,
      pins: rule.pins.map((pin) => compilePin(pin, connector, compile, at(`pins.${pin.field}`))),
      outcomes: compileOutcomes(rule.outcomes, compile, where),
    },
    rule,
    connector,
  );
}

function compilePin(pin: Rule["pins"][number], connector: Connector, compile: Compile, where: string): CompiledPin {
  const value = compile("pin", pin.value, "scalar", where);
  const tagged = value.fields("call")?.size !== 0;
  if (tagged && !connector.reservedFields.includes(pin.field)) {
    throw new Error(`${where}: a pin that reads \`call\` needs \`${pin.field}\` among \`reservedFields\``);
  }
  const when = pin.when === undefined ? null : compile("pin", pin.when, "bool", `${where}.when`);
  return { field: pin.field.split("."), value, when, tagged };
}

export function compileOutcomes(outcomes: Connector["outcomes"], compile: Compile, where: string): CompiledOutcome[] {
  return outcomes.map(({ status, when, outcome }) => ({
    status,
    when: when === undefined ? null : compile("outcome", when, "bool", `${where}.outcomes`),
    outcome,
  }));
}

function requirements(list: Requirement[], compile: Compile, where: string): CompiledRequirement[] {
  return list.map((each) => ({
    that: compile("request", each.that, "bool", `${where}.require`),
    code: each.code,
    sentence: each.else,
  }));
}

function fieldSet(fields: string[] | undefined): ReadonlySet<string> | null {
  return fields ? new Set(fields) : null;
}

function shape(endpoint: string, connector: Connector, where: string) {
  const [method = "", path = ""] = endpoint.split(" ");
  let template: TemplateSegment[];
  try {
    template = parseTemplate(path, connector.parameters);
  } catch (error) {
    throw new Error(`${where}: ${error instanceof Error ? error.message : "wrong path"}`);
  }
  const subdomain = subdomainOf(connector, template[0]?.literal ?? "");
  return { endpoint, method, template, path: subdomain ? template.slice(1) : template, subdomain };
}

type Partially = Pick<
  CompiledRule,
  "endpoint" | "method" | "template" | "path" | "subdomain" | "kind" | "require" | "fields"
> &
  Partial<CompiledRule>;

function finish(partial: Partially, source: Rule | null, connector: Connector): CompiledRule {
  const write = partial.method !== "GET";
  const rule: CompiledRule = {
    list: null,
    lookup: [],
    quote: null,
    cost: null,
    pins: [],
    outcomes: [],
    idempotent: source?.idempotent ?? (write && connector.idempotency !== undefined),
    maxBodyBytes: source?.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
    maxFields: source?.maxFields ?? 512,
    reads: { body: null, found: null, response: null },
    source,
    ...partial,
  };
  const read = expressionsOf(rule);
  rule.reads = { body: union(read, "body"), found: union(read, "found"), response: union(read, "response") };
  return rule;
}

function expressionsOf(rule: CompiledRule): Expression[] {
  const quote = typeof rule.quote === "object" && rule.quote ? rule.quote : null;
  return [
    ...rule.require.map((each) => each.that),
    ...rule.pins.flatMap((pin) => [pin.value, pin.when]),
    ...rule.lookup.map((each) => each.when),
    ...(quote ? [quote.micros, quote.currency, quote.amount, quote.object] : []),
    ...(rule.cost ? Object.values(rule.cost) : []),
  ].filter((each): each is Expression => each !== null && each !== undefined);
}

function union(expressions: Expression[], variable: "body" | "found" | "response"): ReadonlySet<string> | null {
  const all = new Set<string>();
  for (const expression of expressions) {
    const fields = expression.fields(variable);
    if (fields === null) return null;
    for (const field of fields) all.add(field);
  }
  return all;
}
