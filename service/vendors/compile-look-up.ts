/** Compiles a rule's `reconcile` and `price`. */
import type { Connector, Reconcile, Rule } from "./connector.ts";
import type { Compile, Expression } from "./expressions.ts";

export type CompiledPaging = { more: Expression; parameter: string; value: Expression } | { target: Expression };

export type CompiledReconcile =
  | {
      kind: "list";
      target: string;
      items: Expression;
      match: Expression;
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
