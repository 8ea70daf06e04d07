/**
 * CEL expressions of a connector: compiled and type-checked once at load, evaluated per call.
 *
 * Why `@marcbachmann/cel-js` and not `@bufbuild/cel` (tried both, 2026-11-22, Node 24): its type-checker is public
 * (`parse().check()`), while bufbuild/cel 0.6.1 exports none, so that an unknown name showed only when a call was priced;
 * 0.22 µs against 0.53 µs for one `usd(body.amount, body.currency)`; no dependencies against protobuf, cel-spec and re2.
 * Both keep int64 exact and fail on overflow. `matches()` is refused here: cel-js runs it on JavaScript's backtracking
 * engine (25 characters took 2.2 s on `(a+)+$`).
 */
import { type ASTNode, Environment, EvaluationError } from "@marcbachmann/cel-js";
import { Refusal } from "../errors.ts";
import type { Connector } from "./connector.ts";
import { amountOf, divideUp, dollars, type Money } from "./money-functions.ts";
import { segments } from "./segments.ts";
import type { Json, JsonObject } from "./vendor.ts";

const VARIABLES = {
  body: "map",
  path: "map<string, string>",
  query: "map",
  found: "map",
  quote: "map",
  call: "map<string, string>",
  response: "map",
  status: "int",
  item: "map",
  /** The call's time as seconds: first sent, last sent. */
  first: "int",
  last: "int",
} as const;
type Variable = keyof typeof VARIABLES;

/** What an expression may read, by the moment it is evaluated. */
const STAGES = {
  request: ["body", "path", "query"],
  quote: ["body", "path", "query", "found"],
  pin: ["body", "path", "query", "quote", "call"],
  cost: ["body", "path", "query", "found", "quote", "response", "status"],
  outcome: ["response", "status"],
  page: ["response"],
  readback: ["response", "body", "path", "call"],
  item: ["item", "body", "path", "call", "first", "last"],
} as const satisfies Record<string, readonly Variable[]>;
export type Stage = keyof typeof STAGES;

export type CelValue = bigint | number | string | boolean | null | CelValue[] | { [key: string]: CelValue };
export type Context = Partial<Record<Variable, CelValue>>;

/** What an expression must give: `scalar` is text or a whole number. */
export type Want = "int" | "bool" | "string" | "scalar" | "list";
const ACCEPTED: Record<Want, RegExp> = {
  int: /^int$/,
  bool: /^(bool|dyn)$/,
  string: /^(string|dyn)$/,
  scalar: /^(string|int|dyn)$/,
  list: /^(list.*|dyn)$/,
};

export interface Expression {
  /** Throws `Refusal` when a field is missing or a function refuses. */
  run(context: Context): CelValue;
  /** Fields of `variable` that the expression reads; `null`: it reads the whole of it. */
  fields(variable: Variable): ReadonlySet<string> | null;
}

export type Compile = (stage: Stage, source: string, want: Want, where: string) => Expression;

/** A compiler for one connector's expressions. Its `Error`s name the place, the expression and what is wrong. */
export function expressionCompiler(connector: Connector, money: Money): Compile {
  const environments = new Map<Stage, Environment>();
  const tables = priceTables(connector);
  for (const stage of Object.keys(STAGES) as Stage[]) {
    const environment = new Environment({ unlistedVariablesAreDyn: false, limits: { maxAstNodes: 400, maxDepth: 40 } });
    for (const variable of STAGES[stage]) environment.registerVariable(variable, VARIABLES[variable]);
    register(environment, money, tables, connector);
    environments.set(stage, environment);
  }
  return (stage, source, want, where) => {
    const fail = (why: string) => new Error(`${where}: \`${source}\`: ${why}`);
    let parsed: ReturnType<Environment["parse"]>;
    try {
      parsed = environments.get(stage)!.parse(source);
    } catch (error) {
      throw fail(firstLine(error));
    }
    const checked = parsed.check();
    if (!checked.valid) throw fail(firstLine(checked.error));
    if (!ACCEPTED[want].test(checked.type ?? "")) throw fail(`gives ${checked.type}, must give ${want}`);
    inspect(parsed.ast, connector, fail);
    return {
      run:
        want === "bool"
          ? (context) => boolean(evaluate(parsed, context, source), source)
          : (context) => evaluate(parsed, context, source),
      fields: (variable) => fieldsOf(parsed.ast, variable),
    };
  };
}

function evaluate(parsed: (context: Context) => CelValue, context: Context, source: string): CelValue {
  try {
    return parsed(context);
  } catch (error) {
    if (error instanceof Refusal) throw error;
    if (error instanceof EvaluationError && error.code === "no_such_key") {
      const name = /No such key: (\S{1,80})/.exec(error.message)?.[1] ?? "?";
      throw new Refusal("request_invalid", `the field \`${name}\` is missing`);
    }
    throw new Refusal("request_invalid", `a field cannot be read as \`${source}\` needs it (${firstLine(error)})`);
  }
}

function boolean(value: CelValue, source: string): boolean {
  if (typeof value === "boolean") return value;
  throw new Refusal("request_invalid", `\`${source}\` is neither true nor false`);
}

function priceTables(connector: Connector) {
  const read = Object.entries(connector.tables).map(([name, table]) => {
    const entries = new Map(Object.entries(table.entries).map(([prefix, usd]) => [prefix, dollars(usd)]));
    const longest = Math.max(0, ...[...entries.keys()].map((prefix) => prefix.length));
    return [
      name,
      { entries, longest, otherwise: table.default === undefined ? null : dollars(table.default) },
    ] as const;
  });
  return new Map(read);
}

function register(
  environment: Environment,
  money: Money,
  tables: ReturnType<typeof priceTables>,
  connector: Connector,
): void {
  const prefix = (name: string, text: string): bigint => {
    const table = tables.get(name)!;
    for (let length = Math.min(text.length, table.longest); length > 0; length -= 1) {
      const price = table.entries.get(text.slice(0, length));
      if (price !== undefined) return price;
    }
    if (table.otherwise !== null) return table.otherwise;
    throw new Refusal("endpoint_unpriced", `the price table \`${name}\` has nothing for this destination`);
  };
  const prices = new Map(Object.entries(connector.prices).map(([name, { usd }]) => [name, dollars(usd)]));
  environment
    .registerFunction("usd(int, string): int", money.usd)
    .registerFunction("usd(string, string): int", money.usd)
    .registerFunction("amount(int): int", amountOf)
    .registerFunction("amount(string): int", amountOf)
    .registerFunction("sum(list<int>): int", (list: bigint[]) => list.reduce((total, value) => total + value, 0n))
    .registerFunction("segments(string): int", (text: string) => BigInt(segments(text)))
    .registerFunction("prefix(string, string): int", prefix)
    .registerFunction("price(string): int", (name: string) => prices.get(name)!)
    .registerFunction("ceilDiv(int, int): int", divideUp)
    .registerFunction("dollars(string): int", dollars)
    .registerFunction("addresses(string): int", (text: string) => BigInt(countAddresses(text)))
    .registerFunction("addresses(list): int", (list: CelValue[]) =>
      BigInt(list.reduce<number>((total, each) => total + countAddresses(each), 0)),
    )
    .registerFunction("seconds(string): int", (text: string) => secondsOf(text));
}

/** Mail addresses in one text: an address list in one string counts each `@`. */
function countAddresses(text: CelValue): number {
  if (typeof text !== "string") throw new Refusal("request_invalid", "an address must be text");
  return Math.max(1, text.split("@").length - 1);
}

function secondsOf(text: string): bigint {
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw new Refusal("request_invalid", "a time cannot be read");
  return BigInt(Math.floor(time / 1000));
}

const COMPREHENSIONS = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** Refuses at load what could take long or names a price that is not there. */
function inspect(ast: ASTNode, connector: Connector, fail: (why: string) => Error): void {
  const walk = (node: ASTNode, inside: boolean): void => {
    let within = inside;
    if (node.op === "rcall") {
      if (node.args[0] === "matches") throw fail("`matches` is not taken; use `==`, `startsWith` or a table");
      if (COMPREHENSIONS.has(node.args[0])) {
        if (inside) throw fail("one comprehension inside another is not taken");
        within = true;
      }
    }
    if (node.op === "call" && (node.args[0] === "prefix" || node.args[0] === "price")) {
      const list = node.args[0] === "prefix" ? connector.tables : connector.prices;
      const name = node.args[1][0];
      if (name?.op !== "value" || typeof name.args !== "string" || !Object.hasOwn(list, name.args)) {
        throw fail(
          `\`${node.args[0]}\` needs the name of one of the connector's ${node.args[0] === "prefix" ? "tables" : "prices"} as its first argument`,
        );
      }
    }
    for (const child of childrenOf(node)) walk(child, within);
  };
  walk(ast, false);
}

function isNode(value: unknown): value is ASTNode {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

function childrenOf(node: ASTNode): ASTNode[] {
  const flat = [node.args].flat(3) as unknown[];
  return flat.filter(isNode);
}

function fieldsOf(ast: ASTNode, variable: Variable): ReadonlySet<string> | null {
  const fields = new Set<string>();
  const walk = (node: ASTNode): boolean => {
    if (node.op === "." && node.args[0].op === "id" && node.args[0].args === variable) {
      fields.add(node.args[1]);
      return true;
    }
    if (node.op === "id" && node.args === variable) return false;
    return childrenOf(node).every(walk);
  };
  return walk(ast) ? fields : null;
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0]!;
}

const MAX_ANSWER_DEPTH = 64;

/** JSON → CEL: whole numbers become int64. Throws `RangeError` for absurd nesting. */
export function toCel(value: Json, depth = 0): CelValue {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (value === null || typeof value !== "object") return value;
  if (depth > MAX_ANSWER_DEPTH) throw new RangeError("nested too deeply");
  if (Array.isArray(value)) return value.map((item) => toCel(item, depth + 1));
  const copy: { [key: string]: CelValue } = {};
  for (const key of Object.keys(value)) if (key !== "__proto__") copy[key] = toCel(value[key]!, depth + 1);
  return copy;
}

/** Converts only those fields of an object that expressions read: answers are much larger than what is read of them. */
export function toCelFields(object: JsonObject, fields: ReadonlySet<string> | null): CelValue {
  if (fields === null) return toCel(object);
  const copy: { [key: string]: CelValue } = {};
  for (const field of fields) if (Object.hasOwn(object, field)) copy[field] = toCel(object[field]!);
  return copy;
}
