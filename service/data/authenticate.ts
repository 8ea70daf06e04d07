/** Who calls: the vault key, where the vendor's SDK puts its credential, and the Cloud Run task it comes from. */
import { Refusal } from "../errors.ts";
import { closed } from "../ledger/balance.ts";
import type { KeyState } from "../ledger/types.ts";
import type { ParsedVaultKey } from "../vault-key.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHeaders } from "./headers.ts";
import type { VerifiedKeys } from "./verified-keys.ts";

/**
 * The key's text is verified before anything is read, so that a made-up key costs no look-up.
 * Throws `key_invalid`, `key_revoked`, `key_expired`, `key_paused`, `request_invalid`.
 */
export async function authenticate(plane: DataPlane, exchange: Exchange, headers: RequestHeaders): Promise<KeyState> {
  const presented =
    presentedKey(plane, headers) ?? ((await plane.keys.readyForMissing()) ? presentedKey(plane, headers) : null);
  if (!presented) throw invalid();
  const key = plane.ledger.peek(presented.keyId) ?? (await plane.ledger.key(presented.keyId));
  if (!key || key.pepperVersion !== presented.pepperVersion) throw invalid();
  exchange.key = key;
  const context = taskOf(presented, headers);
  exchange.task = context.task;
  exchange.attempt = context.attempt;
  const shut = await shutOrResumed(plane, key);
  if (shut) throw shut;
  return key;
}

/** Of all that shuts a key only a pause ends again: another instance may have ended it. */
async function shutOrResumed({ clock, ledger }: DataPlane, key: KeyState): Promise<Refusal | null> {
  const shut = closed(key, clock.now());
  if (shut?.code !== "key_paused") return shut;
  const now = await ledger.fresh(key.keyId);
  return now ? closed(now, clock.now()) : shut;
}

const invalid = () =>
  new Refusal("key_invalid", "send a vault key of this proxy where the vendor's SDK sends its credential");

/** In Authorization, else where one of the vendors' SDKs puts its credential. */
function presentedKey(plane: DataPlane, headers: RequestHeaders): ParsedVaultKey | null {
  if (headers.authorization !== undefined) return ofAuthorization(plane.keys, headers.authorization);
  for (const name of plane.credentialHeaders) {
    const value = headers[name];
    // Some vendors put a word before the credential (`Token …`).
    const key = value === undefined ? null : plane.keys.verify(value.slice(value.indexOf(" ") + 1));
    if (key) return key;
  }
  return null;
}

/** Bearer, or the user or password of Basic. Two vault keys in one credential are none. */
function ofAuthorization(keys: VerifiedKeys, authorization: string): ParsedVaultKey | null {
  const [scheme, credential, more] = authorization.split(" ", 3);
  if (!scheme || !credential || more !== undefined) return null;
  return scheme.toLowerCase() === "basic" ? ofBasic(keys, credential) : keys.verify(credential);
}

function ofBasic(keys: VerifiedKeys, credential: string): ParsedVaultKey | null {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(credential)) return null;
  const text = Buffer.from(credential, "base64").toString("latin1");
  const colon = text.indexOf(":");
  if (colon < 0) return keys.verify(text);
  const user = keys.verify(text.slice(0, colon));
  const password = keys.verify(text.slice(colon + 1));
  return user && password && user.text !== password.text ? null : (password ?? user);
}

interface TaskContext {
  task: number | null;
  attempt: number | null;
}

/** `vk_…~<task>~<attempt>`, or the two headers. It labels the audit and tells repeats apart; it authorises nothing. */
function taskOf(presented: ParsedVaultKey, headers: RequestHeaders): TaskContext {
  const task = headers["x-keybrake-task-index"];
  const attempt = headers["x-keybrake-task-attempt"];
  if (task === undefined && attempt === undefined) return presented;
  if (task === undefined || attempt === undefined || !/^\d{1,6}$/.test(task) || !/^\d{1,4}$/.test(attempt)) {
    throw new Refusal(
      "request_invalid",
      "send x-keybrake-task-index and x-keybrake-task-attempt together, as plain numbers",
    );
  }
  const context = { task: Number(task), attempt: Number(attempt) };
  if (presented.task !== null && (presented.task !== context.task || presented.attempt !== context.attempt)) {
    throw new Refusal("request_invalid", "the vault key and the x-keybrake-task headers name different tasks");
  }
  return context;
}
