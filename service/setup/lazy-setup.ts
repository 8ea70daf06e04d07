/** The setup task, loaded at its first request: a proxy that launches nothing starts without it and without Google's libraries. */
import type { SetupDeps } from "./open-setup.ts";
import type { Setup } from "./setup.ts";

export interface LazySetupDeps extends Omit<SetupDeps, "cloudRun"> {
  /** As KEYBRAKE_GOOGLE_APIS; `null`: Google's own. */
  googleApis: string | null;
}

export function lazySetup(deps: LazySetupDeps): Setup {
  let opened: Promise<Setup> | null = null;
  const setup = (): Promise<Setup> => {
    opened ??= Promise.all([import("./open-setup.ts"), import("../google/cloud-run-api.ts")]).then(
      ([{ openSetup }, { cloudRunApi }]) =>
        openSetup({ ...deps, cloudRun: cloudRunApi({ googleApis: deps.googleApis }) }),
    );
    return opened;
  };
  return {
    launch: async (request) => (await setup()).launch(request),
    claim: async (request) => (await setup()).claim(request),
  };
}
