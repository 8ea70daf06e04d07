/** A connector's variables, checked against the rest of it. */
import type { Connector } from "./connector.ts";
import type { VendorVariable } from "./vendor.ts";

/** Throws an `Error` for one that is there twice, or that the connector cannot give. */
export function compileVariables(connector: Connector): VendorVariable[] {
  const seen = new Set<string>();
  for (const { name } of connector.variables) {
    if (seen.has(name)) throw new Error(`${connector.id}: the variable ${name} is there twice`);
    seen.add(name);
  }
  return connector.variables.map((variable) => compileVariable(connector, variable));
}

function compileVariable(connector: Connector, { name, is }: Connector["variables"][number]): VendorVariable {
  if (is === "credential") return { name, is };
  if (is === "account") return { name, is, fits: accountShape(connector, name) };
  if (is === "base_url") return { name, is: "path", path: `/${connector.id}` };
  if (connector.bare.length > 0) return { name, is: "path", path: "" };
  throw new Error(`${connector.id}: the variable ${name} is a bare_url, which needs \`bare\`; else write base_url`);
}

/** Without a shape, a secret that is written in another form than its account could be taken for one. */
function accountShape({ id, account, parameters }: Connector, name: string): (text: string) => boolean {
  const shape = account && Object.hasOwn(parameters, account.parameter) ? parameters[account.parameter] : undefined;
  if (shape === undefined) {
    throw new Error(
      `${id}: the variable ${name} is an account, which needs \`account\` and its shape in \`parameters\``,
    );
  }
  const pattern = new RegExp(`^(?:${shape})$`);
  return (text) => pattern.test(text);
}
