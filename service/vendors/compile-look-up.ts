/** Compiles a rule's `reconcile` and `price`. */
import type { Connector, Reconcile, Rule } from "./connector.ts";
import type { Compile, Expression } from "./expressions.ts";
import type { CompiledRule } from "./rule.ts";

export type CompiledPaging = { more: Expression; parameter: string; value: Expression } | { target: Expression };

export type CompiledReconcile =
  | {
      kind: "list";
      target: string;
      items: Expression;
      match: Expression;
      failed: Expression | null;
      perhaps: Expression | null;
      paging: CompiledPaging;
      maxPages: number;
    }
  | { kind: "read"; target: string; happened: Expression; absent: Expression };

export interface CompiledLookUp {
  reconcile: CompiledReconcile | null;
  price: { target: string; known: Expression; micros: Expression } | null;
}

export function compileLookUp(rule: Rule, connector: Connector, compile: Compile): CompiledLookUp {
  const at = (name: string) => `${connector.id}: \`${rule.endpoint}\`.${name}`;
  const { price } = rule;
  return {
    reconcile: rule.reconcile ? compileReconcile(rule.reconcile, compile, at) : null,
    price: price
      ? {
          target: price.target,
          known: compile("page", price.known, "bool", at("price.known")),
          micros: compile("page", price.micros, "int", at("price.micros")),
        }
      : null,
  };
}

function compileReconcile(plan: Reconcile, compile: Compile, at: (name: string) => string): CompiledReconcile {
  if (plan.kind === "read") {
    return {
      kind: "read",
      target: plan.target,
      happened: compile("readback", plan.happened, "bool", at("reconcile.happened")),
      absent: compile("readback", plan.absent, "bool", at("reconcile.absent")),
    };
  }
  const { paging } = plan;
  return {
    kind: "list",
    target: plan.target,
    items: compile("page", plan.items, "list", at("reconcile.items")),
    match: compile("item", plan.match, "bool", at("reconcile.match")),
    failed: plan.failed === undefined ? null : compile("item", plan.failed, "bool", at("reconcile.failed")),
    perhaps: plan.perhaps === undefined ? null : compile("item", plan.perhaps, "bool", at("reconcile.perhaps")),
    paging:
      "target" in paging
        ? { target: compile("page", paging.target, "string", at("reconcile.paging.target")) }
        : {
            more: compile("page", paging.more, "bool", at("reconcile.paging.more")),
            parameter: paging.parameter,
            value: compile("page", paging.value, "string", at("reconcile.paging.value")),
          },
    maxPages: plan.maxPages,
  };
}

/** Fields of the request's body that a look-up reads, in its own expressions, its address, or what it costs; `null`: all of them. */
export function factsOf(rule: CompiledRule, plan: CompiledReconcile): ReadonlySet<string> | null {
  const expressions = [
    ...Object.values(plan),
    ...("paging" in plan ? Object.values(plan.paging) : []),
    ...Object.values(rule.cost ?? {}),
    typeof rule.quote === "object" ? rule.quote?.object : null,
  ].filter((each): each is Expression => typeof each === "object" && each !== null && "fields" in each);
  const names = new Set([...plan.target.matchAll(/\{([A-Za-z0-9_]+)\}/g)].map(([, name]) => name!));
  for (const expression of expressions) {
    const fields = expression.fields("body");
    if (fields === null) return null;
    for (const field of fields) names.add(field);
  }
  return names;
}
