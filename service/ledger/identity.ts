/**
 * Names of documents, and the identity by which a repeat of a call is recognised (the retry shield).
 * Everything is a hash under the key's salt: ids tell nothing, and two labels never share one.
 */
import { hash } from "node:crypto";
import type { ReserveRequest } from "./ledger.ts";

const alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** RFC 4648 base32 in lower case, without padding. */
export function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(value >>> bits) & 31];
    }
  }
  return bits > 0 ? text + alphabet[(value << (5 - bits)) & 31] : text;
}

/**
 * SHA-256 under a secret prefix of 256 bits. Half of it is shown, so nothing can be appended to a text whose name is known;
 * the one-shot hash takes a sixth of an HMAC's time (Node 24, measured 2026-11), and every call needs five.
 */
function keyed(salt: string, what: string, vendor: string, text: string): string {
  // Only the last part is somebody else's text, so the newlines before it tell the parts apart.
  return hash("sha256", `${salt}\n${what}\n${vendor}\n${text}`, "hex").slice(0, 32);
}

export const callIdOf = (bytes: Buffer): string => `call_${bytes.toString("hex", 0, 16)}`;

/** Keyed hash of the canonical request: equal requests have equal hashes. */
export const requestHash = (salt: string, request: ReserveRequest): string =>
  keyed(salt, "request", request.vendor, request.canonical);

export const objectKey = (salt: string, vendor: string, object: string): string =>
  keyed(salt, "object", vendor, object);

export const unknownKey = (salt: string, ofRequest: string): string => keyed(salt, "unknown", "", ofRequest);

/**
 * - `key`: the client's own idempotency key, `dedupe`: the header `x-keybrake-dedupe`, `generated_key`: a key that the SDK made
 *   up, with no task known: each names one call.
 * - `task`: the task and the request name a row of calls, by ordinal.
 * - `alias` is a second name by a key that may be the client's own: the same one with a task and without.
 * - `none`: every request is a call of its own.
 */
export type Identity =
  | { rule: "key" | "dedupe"; callId: string }
  | { rule: "generated_key"; callId: string; alias: string | null }
  | {
      rule: "task";
      /** Id of the n-th call of the row; n < 1024. */
      ordinal: (n: number) => string;
      alias: string | null;
      attempt: number;
      key: string | null;
    }
  | { rule: "none" };

export function identify(salt: string, request: ReserveRequest, ofRequest: string): Identity {
  const { vendor, clientKey, dedupe, task, attempt } = request;
  if (clientKey?.madeBy === "client") {
    return { rule: "key", callId: `call_${keyed(salt, "key", vendor, clientKey.value)}` };
  }
  if (dedupe !== null) return { rule: "dedupe", callId: `call_${keyed(salt, "dedupe", vendor, dedupe)}` };
  const byKey = clientKey && keyed(salt, "key", vendor, clientKey.value);
  const alias = clientKey?.madeBy === "maybe" ? byKey : null;
  if (task !== null && attempt !== null) {
    // One name for the row, since a row of a thousand calls is walked for each of them.
    const row = `call_${keyed(salt, "task", vendor, `${task} ${ofRequest}`).slice(0, 30)}`;
    return {
      rule: "task",
      ordinal: (n) => row + alphabet[n >>> 5] + alphabet[n & 31],
      alias,
      attempt,
      key: clientKey ? keyed(salt, "client key", "", clientKey.value) : null,
    };
  }
  if (byKey !== null) return { rule: "generated_key", callId: `call_${byKey}`, alias };
  return { rule: "none" };
}
