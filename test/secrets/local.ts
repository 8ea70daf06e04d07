/** The loopback Secret Manager and the real client library before it, for these tests. */
import { type LocalServer, serveLocalApis } from "../../examples/local-cloud/local-api.ts";
import { LocalSecretManager } from "../../examples/local-cloud/secret-manager.ts";
import { openSecretManager, type SecretManager } from "../../service/secrets/secret-manager.ts";

export const secretOf = (name: string): string => `projects/test-project/secrets/${name}`;

export interface LocalWorld {
  local: LocalSecretManager;
  url: string;
  /** A client of its own, as each instance of the proxy has. */
  client(): Promise<SecretManager>;
  close(): Promise<void>;
}

export async function startLocal(): Promise<LocalWorld> {
  const local = new LocalSecretManager();
  const server: LocalServer = await serveLocalApis([local.api]);
  return { local, url: server.url, client: () => openSecretManager(server.url), close: () => server.close() };
}
