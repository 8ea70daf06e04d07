/** The environment that makes an execution's tasks use the proxy: names and values, the same for launch and for claim. */
import { Refusal } from "../errors.ts";
import type { KeyState } from "../ledger/types.ts";
import type { VaultKeys } from "../vault-key.ts";
import { reservedVariable } from "../vendors/connector.ts";
import type { Vendor, VendorVariable } from "../vendors/vendor.ts";
import type { InjectedVariable } from "./setup.ts";

/** What is read of a vendor. */
export type VariableVendor = Pick<Vendor, "id" | "variables">;

export interface VariableDeps {
  /** By id. */
  vendors: ReadonlyMap<string, VariableVendor>;
  vaultKeys: Pick<VaultKeys, "text" | "ready">;
  /** The account that the vendor's real secret belongs to, or `null`. Asked only for vendors with such a variable. */
  ownAccount(vendorId: string): Promise<string | null>;
}

/** What the proxy sets beside the vendors' variables; the URL and the audience are in the job's template. */
const ownNames = [
  "KEYBRAKE_URL",
  "KEYBRAKE_AUDIENCE",
  "KEYBRAKE_VAULT_KEY",
  "KEYBRAKE_KEY_ID",
  "KEYBRAKE_RUN_ID",
  "KEYBRAKE_TASK_INDEX",
  "KEYBRAKE_TASK_ATTEMPT",
] as const;

/** Every name that a job of these vendors gets: whoever writes one of them into a job's template is mistaken. */
export function injectedNames(vendors: Iterable<VariableVendor>): Set<string> {
  const names = new Set<string>(ownNames);
  for (const { variables } of vendors) for (const { name } of variables) names.add(name);
  return names;
}

/** True for a name that Cloud Run sets in a task, or keeps for itself. */
export function isReservedName(name: string): boolean {
  return reservedVariable.test(name);
}

/**
 * @param runId `null`: the execution was started without a run.
 * Throws `policy_denied` when two vendors of the key set one name to different values, and what `ownAccount` throws.
 */
export async function variablesOf(
  deps: VariableDeps,
  key: KeyState,
  runId: string | null,
): Promise<InjectedVariable[]> {
  // Another instance may have made the key with a newer pepper than this one has seen.
  await deps.vaultKeys.ready(key.pepperVersion);
  const vaultKey = deps.vaultKeys.text(key.keyId, key.pepperVersion);
  const all = new Map<string, InjectedVariable & { vendor: string | null }>();
  const add = (variable: InjectedVariable, vendor: string | null) => {
    const there = all.get(variable.name);
    if (there && there.value !== variable.value) {
      throw new Refusal(
        "policy_denied",
        `${there.vendor} and ${vendor} both set ${variable.name}; give the policy one of them, or another name in a connector`,
      );
    }
    all.set(variable.name, { ...variable, vendor });
  };
  add({ name: "KEYBRAKE_VAULT_KEY", kind: "credential", value: vaultKey }, null);
  add({ name: "KEYBRAKE_KEY_ID", kind: "text", value: key.keyId }, null);
  if (runId !== null) add({ name: "KEYBRAKE_RUN_ID", kind: "text", value: runId }, null);
  for (const id of key.scope.vendors) {
    for (const variable of deps.vendors.get(id)?.variables ?? []) {
      const value = await madeOf(deps, key, id, variable, vaultKey);
      if (value) add({ name: variable.name, ...value }, id);
    }
  }
  return [...all.values()].map(({ name, kind, value }) => ({ name, kind, value }));
}

type Value = Omit<InjectedVariable, "name">;

/** @returns `null` for an account that nobody names: then the job's own variable stays. */
async function madeOf(
  deps: VariableDeps,
  key: KeyState,
  vendor: string,
  variable: VendorVariable,
  vaultKey: string,
): Promise<Value | null> {
  if (variable.is === "credential") return { kind: "credential", value: vaultKey };
  if (variable.is === "path") return { kind: "path", value: variable.path };
  // An account that the budget names is what its author meant; the secret's own is what is left.
  const listed = key.scope.accounts.find(variable.fits);
  if (listed !== undefined) return { kind: "text", value: listed };
  const own = await deps.ownAccount(vendor);
  return own !== null && variable.fits(own) ? { kind: "text", value: own } : null;
}
