/** The one vault key of a run, from the proxy's control plane. */

export interface RunKey {
  keyId: string;
  /** Scoped, capped and expiring: it may be in a payload, where a real secret may not. */
  vaultKey: string;
}

export interface ProxyAccess {
  url: string;
  /** Made by `keybrake issuers create --policy billing-agent`; it can issue within that policy, and no more. */
  issuerKey: string;
}

/** Refused in a way that no further attempt can change: the run was stopped, or its policy forbids what is asked. */
export class KeyRefused extends Error {
  override name = "KeyRefused";
}

/**
 * Get-or-create by the run's id: a parent that is tried again gets the key that its first attempt got, with what was spent on it.
 * Throws {@link KeyRefused} when no further attempt can help, else `Error`.
 */
export async function issueKey(proxy: ProxyAccess, runId: string, budgetUsd: number): Promise<RunKey> {
  const response = await fetch(`${proxy.url}/vault/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${proxy.issuerKey}`, "content-type": "application/json" },
    body: JSON.stringify({
      vendor: "stripe",
      usd_cap: budgetUsd,
      allowed_endpoints: ["POST /v1/payment_intents"],
      expires_in: "2h",
      label: `trigger.dev/billing-agent/${runId}`,
    }),
    signal: AbortSignal.timeout(30_000),
  });
  const body = (await response.json()) as Record<string, unknown>;
  if (response.ok) return { keyId: String(body.key_id), vaultKey: String(body.vault_key) };
  const message = `${body.code}: ${body.message}`;
  if (response.status < 500 && response.status !== 429) throw new KeyRefused(message);
  throw new Error(message);
}
