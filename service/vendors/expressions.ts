/**
 * CEL expressions of a connector: compiled and type-checked once at load, evaluated per call.
 *
 * Why `@marcbachmann/cel-js` and not `@bufbuild/cel` (tried both, 2026-11-22, Node 24): its type-checker is public
 * (`parse().check()`), while bufbuild/cel 0.6.1 exports none, so that an unknown name showed only when a call was priced;
 * 0.22 µs against 0.53 µs for one `usd(body.amount, body.currency)`; no dependencies against protobuf, cel-spec and re2.
 * Both keep int64 exact and fail on overflow. `matches()` is refused here: cel-js runs it on JavaScript's backtracking
 * engine (25 characters took 2.2 s on `(a+)+$`).
 */
import { Environment, EvaluationError } from "@marcbachmann/cel-js";
import { Refusal } from "../errors.ts";
import { priceTables, registerFunctions } from "./cel-functions.ts";
import { fieldsOf, inspect } from "./cel-inspect.ts";
import type { CelValue } from "./cel-values.ts";
import type { Connector } from "./connector.ts";
import type { Money } from "./money-functions.ts";

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
    registerFunctions(environment, money, tables, connector);
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

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n")[0]!;
}
