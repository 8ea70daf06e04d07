import type * as pulumi from "@pulumi/pulumi";
import type { BudgetedJobArgs, JobVariable, JobVolume } from "./budgeted-job-args";
import type { Container } from "./containers";
import type { Fault, Faults } from "./faults";
import { fullSecretName } from "./names";
import type { ProxyReference } from "./reference";
import { isReservedName, openVendors } from "./service-rules";
import { secretFault } from "./vendor-secret";

/** Variables that a container would set itself, and the secrets in them. */
export function checkVariables(
  faults: Faults,
  { at, env = [] }: Container,
  { budget }: BudgetedJobArgs,
  proxy: ProxyReference,
): void {
  for (const [index, variable] of env.entries()) {
    const { name, value, secret } = variable;
    const prop = `${at}env[${index}]`;
    const other = '"BILLING_MODE"';
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name))
      faults.add(`${prop}.name`, name, "which is no name of a variable", other);
    else if (isReservedName(name)) faults.add(`${prop}.name`, name, "which Cloud Run or the proxy sets itself", other);
    else checkInjected(faults, `${prop}.name`, variable, budget.vendors, proxy);
    if (env.findIndex((each) => each.name === name) < index)
      faults.add(`${prop}.name`, name, "which is there twice", `"${name}_2"`);
    if ((value === undefined) === (secret === undefined)) {
      const given = value === undefined ? undefined : "given";
      faults.add(`${prop}.value`, given, `and so is \`secret\` of ${name}`, 'one of the two: value: "night"');
    }
    if (secret !== undefined) checkSecret(faults, `${prop}.secret`, secret, proxy);
  }
}

function checkInjected(
  faults: Faults,
  prop: string,
  { name }: JobVariable,
  budgeted: string[],
  { connectors = "", vendors }: ProxyReference,
): void {
  faults.check(prop, { connectors, vendors }, (read): Fault | null => {
    const wrong =
      "which holds the vault key or the proxy's address of one of the proxy's vendors: another value would go around the cap";
    // A reference that is an output as a whole may lack them.
    const all = [...budgeted, ...((read.vendors as string[] | undefined) ?? [])];
    return openVendors(read.connectors || null)
      .injected(all)
      .has(name)
      ? { value: name, wrong, valid: '"BILLING_MODE"' }
      : null;
  });
}

/** A task that can read the vendor's own secret needs no key: this is the bypass that the proxy is there to close. */
function checkSecret(
  faults: Faults,
  prop: string,
  secret: pulumi.Input<string>,
  { secrets = [], project }: ProxyReference,
): void {
  faults.check(prop, secret, secretFault);
  faults.check(prop, { secret, secrets, project }, (read): Fault | null => {
    const asked = fullSecretName(read.secret, read.project);
    // A reference that is an output as a whole may lack them.
    const same = ((read.secrets as string[] | undefined) ?? []).some((own) => mayBeSame(own, asked));
    const wrong = "a secret of the proxy: who can read it can go around the cap";
    return same ? { value: read.secret, wrong, valid: '"billing-database-password"' } : null;
  });
}

/** A project has a number beside its id, and which is whose cannot be told here: then the secret's own name decides. */
function mayBeSame(one: string, other: string): boolean {
  const [numbered, alsoNumbered] = [one, other].map((name) => /^projects\/\d+\//.test(name));
  return one === other || (numbered !== alsoNumbered && one.split("/").at(-1) === other.split("/").at(-1));
}

export function checkVolumes(faults: Faults, volumes: JobVolume[], proxy: ProxyReference): void {
  for (const [index, { name, mountPath, secret, bucket, memory }] of volumes.entries()) {
    const at = `volumes[${index}]`;
    const kinds = [secret, bucket, memory].filter((each) => each !== undefined).length;
    if (kinds !== 1)
      faults.add(
        at,
        { name },
        "with none or several of `secret`, `bucket` and `memory`",
        `{ name: "${name}", mountPath: "/data", memory: "256Mi" }`,
      );
    if (!/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
      faults.add(`${at}.name`, name, "which is not 1 to 63 of a-z 0-9 -", '"data"');
    if (volumes.findIndex((each) => each.name === name) < index)
      faults.add(`${at}.name`, name, "which is there twice", `"${name}-${index}"`);
    if (!/^\/[^\s:]+$/.test(mountPath))
      faults.add(`${at}.mountPath`, mountPath, "which is no path from the root", '"/data"');
    if (memory !== undefined && !/^[1-9]\d{0,5}(?:Mi|Gi)$/.test(memory))
      faults.add(`${at}.memory`, memory, "which is no size", '"256Mi"');
    if (secret !== undefined) checkSecret(faults, `${at}.secret`, secret, proxy);
  }
}
