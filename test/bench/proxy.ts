/** The proxy in front of the bench's upstream, with a real SQLite file, and the control plane's calls that the bench needs. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { Child } from "./child.ts";

export interface RunningProxy {
  child: Child;
  keyId: string;
  vaultKey: string;
  /** GET of the control plane; reads the whole answer and throws it away. @returns its length in bytes. */
  drain(path: string, accept: string): Promise<number>;
  /** GET of the control plane as JSON. */
  get(path: string): Promise<Record<string, unknown>>;
}

export async function startProxy(directory: string, upstream: URL, execArgv: string[] = []): Promise<RunningProxy> {
  const adminKey = randomBytes(32).toString("hex");
  const child = await Child.start("proxy-under-test.ts", {
    directory,
    execArgv: ["--expose-gc", ...execArgv],
    env: {
      PORT: "0",
      KEYBRAKE_ADMIN_KEY: adminKey,
      KEYBRAKE_STORE: `sqlite:${join(directory, "bench.db")}`,
      KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: "env:STRIPE_SECRET_KEY", upstream: upstream.origin } }),
      STRIPE_SECRET_KEY: "sk_test_bench",
    },
  });
  const ask = async (path: string, init: RequestInit = {}, accept = "application/json"): Promise<Response> => {
    const headers = { authorization: `Bearer ${adminKey}`, accept, "content-type": "application/json" };
    const response = await fetch(new URL(path, child.url), { ...init, headers });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${(await response.text()).slice(0, 300)}`);
    return response;
  };
  const issued = await ask("/vault/keys", {
    method: "POST",
    body: JSON.stringify({
      vendor: "stripe",
      usd_cap: 100_000_000,
      allowed_endpoints: ["POST /v1/payment_intents"],
      expires_in: "2h",
      label: "bench",
    }),
  });
  const { key_id: keyId, vault_key: vaultKey } = (await issued.json()) as { key_id: string; vault_key: string };
  return {
    child,
    keyId,
    vaultKey,
    get: async (path) => (await ask(path)).json() as Promise<Record<string, unknown>>,
    async drain(path, accept) {
      let bytes = 0;
      for await (const part of (await ask(path, {}, accept)).body ?? []) bytes += part.length;
      return bytes;
    },
  };
}
