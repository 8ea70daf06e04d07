/** Everything that tells who calls the control plane: the admin key, and with policies issuer keys and ID tokens. */
import type { Clock, Random } from "../clock.ts";
import type { Config } from "../config.ts";
import type { Logger } from "../log.ts";
import { Policies } from "../policies/policies.ts";
import { checkPoliciesFile, PoliciesFile } from "../policies/policies-file.ts";
import type { Store } from "../stores/store.ts";
import type { VaultKeys } from "../vault-key.ts";
import { adminKeyWay, openAdminKey } from "./admin-key.ts";
import { IdTokens } from "./id-token.ts";
import { GoogleKeys } from "./id-token-keys.ts";
import { idTokenWay } from "./id-token-way.ts";
import { issuerWay } from "./issuer-way.ts";
import { Issuers } from "./issuers.ts";
import type { Authenticate } from "./principal.ts";
import type { BudgetVendor, ControlDeps } from "./route.ts";

export interface IdentitiesOptions {
  config: Pick<Config, "adminKey" | "audience" | "googleApis" | "policiesFile" | "store">;
  store: Store;
  vendors: ReadonlyMap<string, BudgetVendor>;
  vaultKeys: VaultKeys;
  clock: Clock;
  random: Random;
  log: Logger;
  announceAdminKey: (key: string) => void;
}

/** Throws a `ConfigError` with one sentence when the policies file is wrong. */
export async function openIdentities(
  options: IdentitiesOptions,
): Promise<Pick<ControlDeps, "authenticate" | "policies" | "issuers">> {
  const { store, vaultKeys, clock, random } = options;
  // First: a start that fails must not have made an admin key, which it shows this once.
  const policies = await openPolicies(options);
  const authenticate: Authenticate[] = await adminWays(options);
  const issuers = new Issuers({ store, clock, random });
  if (policies) authenticate.push(issuerWay(issuers, policies, vaultKeys), ...tokenWays(options, policies));
  return { authenticate, policies, issuers };
}

/** Several instances share a store in Firestore, and none of them has a terminal to show a key that it made: there is none then. */
async function adminWays({ config, store, random, announceAdminKey }: IdentitiesOptions): Promise<Authenticate[]> {
  if (config.adminKey === null && config.store.startsWith("firestore:")) return [];
  return [adminKeyWay(await openAdminKey(config.adminKey?.reveal() ?? null, store, random, announceAdminKey))];
}

async function openPolicies({ config, store, vendors, clock, log }: IdentitiesOptions): Promise<Policies | null> {
  const { policiesFile: path } = config;
  if (path !== null) await checkPoliciesFile(path, vendors);
  const docs = path === null ? store.policies : new PoliciesFile(path, log);
  return docs && new Policies({ docs, vendors, clock, log });
}

function tokenWays({ config, clock, log }: IdentitiesOptions, policies: Policies): Authenticate[] {
  const { audience, googleApis } = config;
  if (audience === null) return [];
  const keys = new GoogleKeys({ clock, log, googleApis, fetch });
  return [idTokenWay(new IdTokens({ audience, keys, clock }), policies)];
}
