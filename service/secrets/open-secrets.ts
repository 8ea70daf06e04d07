/** The vendors' secrets at the start, all at once: a proxy that could send nothing says so instead of listening. */
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { SecretReference } from "../vendor-config.ts";
import { secretReader } from "./read-secret.ts";
import type { SecretManager } from "./secret-manager.ts";
import { SecretManagerError } from "./secret-manager-error.ts";
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
 * started this process starts it again, and an instance that is up serves meanwhile. One that is in Secret Manager without a version
 * stops nothing but its own vendor's calls: a deployment makes the secret, and its value is added afterwards. Nor does one that was disabled.
 */
export async function openVendorSecrets(options: OpenSecretsOptions): Promise<VendorSecrets> {
  const { references, manager, clock, log } = options;
  const secrets = new VendorSecrets({ references, read: secretReader(manager), clock, log });
  const readings = [...references].map(async ([id, reference]) => {
    await secrets.get(id).catch(async (error: Error) => {
      if (reference.from === "manager" && secrets.isMissing(id)) return await demandSecret(id, reference.name, manager);
      // Somebody stopped this vendor: its calls are refused, and an instance that starts now serves the others.
      if (secrets.isDisabled(id)) return;
      // What Secret Manager says names its own fix.
      const fix = reference.from === "manager" ? "" : "; put a valid secret there";
      throw new Error(`KEYBRAKE_VENDORS: ${error.message.replace(/^\w+: /, "")}${fix}.`);
    });
  });
  await Promise.all(readings);
  return secrets;
}

/** A secret without a version waits for its value; one that is not there is a name that somebody got wrong. */
async function demandSecret(id: string, name: string, manager: OpenSecretsOptions["manager"]): Promise<void> {
  const fail = (predicate: string): never => {
    throw new Error(`KEYBRAKE_VENDORS: the secret of ${id} (${name}) ${predicate}.`);
  };
  const readable = await manager()
    .then((opened) => opened.isReadable(name))
    .catch((error: unknown) => {
      if (error instanceof SecretManagerError) return fail(error.predicate);
      throw error;
    });
  if (!readable) fail(`does not exist; correct the name, or make it with \`keybrake secrets set ${name} --create\``);
}

/** Secret Manager and its client library, loaded at the first call: a proxy that has no secret there pays nothing for it. */
export function lazySecretManager(googleApis: string | null): () => Promise<SecretManager> {
  let opened: Promise<SecretManager> | null = null;
  return () => {
    opened ??= import("./secret-manager.ts").then((module) => module.openSecretManager(googleApis));
    return opened;
  };
}
