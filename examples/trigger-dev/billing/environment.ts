import type { ProxyAccess } from "./issue-key.ts";

/** Both are set in the Trigger.dev project's environment; the vendor's own secret is not there. */
export function proxyOf(env: Readonly<Record<string, string | undefined>>): ProxyAccess {
  return { url: required(env, "KEYBRAKE_URL"), issuerKey: required(env, "KEYBRAKE_ISSUER_KEY") };
}

function required(env: Readonly<Record<string, string | undefined>>, name: string): string {
  const value = env[name];
  if (!value) throw new Error(`${name} is not set: add it to the environment variables of the Trigger.dev project.`);
  return value;
}
