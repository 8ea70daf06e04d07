/** The vendors' secrets at the start, all at once: a proxy that could send nothing says so instead of listening. */
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { SecretReference } from "../vendor-config.ts";
import { secretReader } from "./read-secret.ts";
import type { SecretManager } from "./secret-manager.ts";
import { VendorSecrets } from "./vendor-secrets.ts";

export interface OpenSecretsOptions {
  references: ReadonlyMap<string, SecretReference>;
  /** Opens Secret Manager; called when a secret of it is read. */
  manager: () => Promise<SecretManager>;
  clock: Pick<Clock, "now">;
  log: Logger;
}

/**
 * Reads every secret once. Throws an `Error` with one sentence when one cannot be read, also because Secret Manager is down: whoever
 * started this process starts it again, and an instance that is up serves meanwhile. One that is in Secret Manager without a value stops
 * nothing but its own vendor's calls: a deployment makes the secret, and its value is added afterwards.
 */
export async function openVendorSecrets(options: OpenSecretsOptions): Promise<VendorSecrets> {
  const { references, manager, clock, log } = options;
  const secrets = new VendorSecrets({ references, read: secretReader(manager), clock, log });
  const readings = [...references].map(async ([id, { from }]) => {
    await secrets.get(id).catch((error: Error) => {
      if (secrets.isWithdrawn(id)) return;
      // What Secret Manager says names its own fix.
      const fix = from === "manager" ? "" : "; put a valid secret there";
      throw new Error(`KEYBRAKE_VENDORS: ${error.message.replace(/^\w+: /, "")}${fix}.`);
    });
  });
  await Promise.all(readings);
  return secrets;
}

/** Secret Manager and its client library, loaded at the first call: a proxy that has no secret there pays nothing for it. */
export function lazySecretManager(googleApis: string | null): () => Promise<SecretManager> {
  let opened: Promise<SecretManager> | null = null;
  return () => {
    opened ??= import("./secret-manager.ts").then((module) => module.openSecretManager(googleApis));
    return opened;
  };
}
