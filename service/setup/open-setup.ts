/** The setup task's two ways over one core: launch and claim. */
import type { Clock, Random } from "../clock.ts";
import type { BudgetVendor } from "../control/route.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Logger } from "../log.ts";
import type { Policies } from "../policies/policies.ts";
import type { SecretSource } from "../secrets/secrets.ts";
import type { Store } from "../stores/store.ts";
import type { VaultKeys } from "../vault-key.ts";
import type { Vendor } from "../vendors/vendor.ts";
import { createClaim } from "./claim.ts";
import type { CloudRun } from "./cloud-run.ts";
import { type VariableVendor, variablesOf } from "./injected-variables.ts";
import { launch } from "./launch.ts";
import type { Setup } from "./setup.ts";

export interface SetupDeps {
  store: Store;
  ledger: Ledger;
  policies: Pick<Policies, "byId">;
  vendors: ReadonlyMap<string, BudgetVendor & VariableVendor & Pick<Vendor, "accountOf">>;
  vaultKeys: VaultKeys;
  /** For the public account in a vendor's secret, never for the secret. */
  secrets: Pick<SecretSource, "get">;
  cloudRun: CloudRun;
  clock: Clock;
  random: Random;
  log: Logger;
  /** How long runs and names of executions are kept, ms. */
  retentionMs: number;
}

export function openSetup(deps: SetupDeps): Setup {
  const { vendors, secrets, policies, vaultKeys } = deps;
  const ownAccount = async (id: string) => vendors.get(id)?.accountOf(await secrets.get(id)) ?? null;
  const common = { ...deps, ownAccount };
  return {
    claim: createClaim(common),
    launch: (request) =>
      launch(
        {
          ...common,
          policyOf: (id) => policies.byId(id),
          variables: async (key, runId) => {
            // Another instance may have made the key with a newer pepper than this one has seen.
            await vaultKeys.ready(key.pepperVersion);
            return variablesOf(common, key, runId);
          },
        },
        request,
      ),
  };
}
