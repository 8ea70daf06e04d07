/** What an expression's tree tells before it runs. */
import type { ASTNode } from "@marcbachmann/cel-js";
import type { Connector } from "./connector.ts";

const COMPREHENSIONS = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** Refuses at load what could take long or names a price that is not there. */
export function inspect(ast: ASTNode, connector: Connector, fail: (why: string) => Error): void {
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

/** Fields of `variable` that the expression reads; `null`: it reads the whole of it. */
export function fieldsOf(ast: ASTNode, variable: string): ReadonlySet<string> | null {
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
