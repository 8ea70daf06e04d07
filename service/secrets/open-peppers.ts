/** The pepper from wherever KEYBRAKE_PEPPER says. */
import type { Clock, Random } from "../clock.ts";
import type { PepperReference } from "../config.ts";
import type { Logger } from "../log.ts";
import type { Store } from "../stores/store.ts";
import { bindPeppers, openPepperFile, type Peppers, pepperInMemory, usesPepper } from "./pepper.ts";
import type { SecretManager } from "./secret-manager.ts";

export interface OpenPeppers {
  /** By version; versions may be added while the proxy runs. */
  versions: Peppers;
  /** Tries to add a version that this process has not seen yet. @returns whether it is there. Never rejects. */
  load(version: number): Promise<boolean>;
  /** Adds the versions that came since. */
  renew(): Promise<void>;
}

export interface OpenPeppersOptions {
  reference: PepperReference;
  store: Store;
  /** Opens Secret Manager; called when the pepper is there. */
  manager: () => Promise<SecretManager>;
  clock: Pick<Clock, "now">;
  random: Random;
  log: Logger;
}

/** Throws an `Error` with one sentence. */
export async function openPeppers(options: OpenPeppersOptions): Promise<OpenPeppers> {
  const { reference, store, clock, random, log } = options;
  if (reference.from === "memory") return fixed(pepperInMemory(random));
  if (reference.from === "manager") {
    const manager = await options.manager().catch((error: Error) => {
      throw new Error(`KEYBRAKE_PEPPER: ${error.message}.`);
    });
    const { ManagedPepper } = await import("./managed-pepper.ts");
    const pepper = new ManagedPepper({ name: reference.name, manager, store, clock, random, log });
    await pepper.open();
    return pepper;
  }
  const { path } = reference;
  const { peppers, made } = await openPepperFile(path, random, !(await usesPepper(store)));
  if (made) log.info({ path }, "pepper made; back it up with the store, for no vault key verifies without it");
  await bindPeppers(store, peppers, path);
  return fixed(peppers);
}

const fixed = (versions: Peppers): OpenPeppers => ({
  versions,
  load: async (version) => versions.has(version),
  renew: async () => {},
});
