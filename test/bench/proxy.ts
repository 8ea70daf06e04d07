/** The proxy in front of the bench's upstream, by default with a real SQLite file, and the control plane's calls that the bench needs. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Child } from "./child.ts";

interface IssuedKey {
  keyId: string;
  vaultKey: string;
}

/** With the key that the load goes to. */
export interface RunningProxy extends IssuedKey {
  child: Child;
  /** Another key, or the same one for the same label. */
  issue(label: string): Promise<IssuedKey>;
  /** GET of the control plane; reads the whole answer and throws it away. @returns its length in bytes. */
  drain(path: string, accept: string): Promise<number>;
  /** GET of the control plane as JSON. */
  get(path: string): Promise<Record<string, unknown>>;
}

export interface ProxyOptions {
  /** The process's entry, in this folder. Default: the proxy as it is served. */
  file?: string;
  execArgv?: string[];
  /** Beside the variables that every proxy of the bench has. */
  env?: Record<string, string>;
  /** Default: a random one. */
  adminKey?: string;
}

/** What every proxy of the bench is started with. */
export function proxyEnv(upstream: URL, adminKey: string): Record<string, string> {
  return {
    PORT: "0",
    KEYBRAKE_ADMIN_KEY: adminKey,
    KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: "env:STRIPE_SECRET_KEY", upstream: upstream.origin } }),
    STRIPE_SECRET_KEY: "sk_test_bench",
  };
}

export async function startProxy(directory: string, upstream: URL, options: ProxyOptions = {}): Promise<RunningProxy> {
  const { file = "proxy-under-test.ts", execArgv = [], env } = options;
  const adminKey = options.adminKey ?? randomBytes(32).toString("hex");
  const child = await Child.start(file, {
    directory,
    execArgv: ["--expose-gc", ...execArgv],
    env: { KEYBRAKE_STORE: `sqlite:${join(directory, "bench.db")}`, ...proxyEnv(upstream, adminKey), ...env },
  });
  const ask = async (path: string, init: RequestInit = {}, accept = "application/json"): Promise<Response> => {
    const headers = { authorization: `Bearer ${adminKey}`, accept, "content-type": "application/json" };
    const response = await fetch(new URL(path, child.url), { ...init, headers });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
    return response;
  };
  const issue = async (label: string): Promise<IssuedKey> => {
    const issued = await ask("/vault/keys", {
      method: "POST",
      body: JSON.stringify({
        vendor: "stripe",
        usd_cap: 100_000_000,
        allowed_endpoints: ["POST /v1/payment_intents"],
        expires_in: "2h",
        label,
      }),
    });
    const { key_id: keyId, vault_key: vaultKey } = (await issued.json()) as { key_id: string; vault_key: string };
    return { keyId, vaultKey };
  };
  return {
    child,
    ...(await issue("bench")),
    issue,
    get: async (path) => (await ask(path)).json() as Promise<Record<string, unknown>>,
    async drain(path, accept) {
      let bytes = 0;
      for await (const part of (await ask(path, {}, accept)).body ?? []) bytes += part.length;
      return bytes;
    },
  };
}
