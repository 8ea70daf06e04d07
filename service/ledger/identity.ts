/**
 * Names of documents, and the identity by which a repeat of a call is recognised (the retry shield).
 * Everything is an HMAC under the key's salt: ids tell nothing, and two labels never share one.
 */
import { createHmac, hash } from "node:crypto";
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

function hmac(salt: string, parts: readonly (string | number)[]): string {
  return base32(createHmac("sha256", salt).update(JSON.stringify(parts)).digest().subarray(0, 16));
}

const digest = (text: string): string => base32(hash("sha256", text, "buffer").subarray(0, 16));

export const callIdOf = (bytes: Uint8Array): string => `call_${base32(bytes.subarray(0, 16))}`;

/** HMAC of the canonical request: equal requests have equal hashes. */
export const requestHash = (salt: string, request: ReserveRequest): string =>
  hmac(salt, ["request", request.vendor, request.canonical]);

export const objectKey = (salt: string, vendor: string, object: string): string =>
  hmac(salt, ["object", vendor, object]);

export const unknownKey = (salt: string, hash: string): string => hmac(salt, ["unknown", hash]);

/**
 * - `key`: the client's own idempotency key, `dedupe`: the header `x-keybrake-dedupe`, `generated_key`: a key that the SDK made
 *   up, with no task known: each names one call.
 * - `task`: the task and the request name a row of calls, by ordinal; `alias` is a second name by a key that may be the client's own.
 * - `none`: every request is a call of its own.
 */
export type Identity =
  | { rule: "key" | "dedupe" | "generated_key"; callId: string }
  | {
      rule: "task";
      /** Id of the n-th call of the row; n < 1024. */
      ordinal: (n: number) => string;
      alias: string | null;
      attempt: number;
      key: string | null;
    }
  | { rule: "none" };

export function identify(salt: string, request: ReserveRequest, hash: string): Identity {
  const { vendor, clientKey, dedupe, task, attempt } = request;
  if (clientKey?.madeBy === "client") {
    return { rule: "key", callId: `call_${hmac(salt, ["key", vendor, clientKey.value])}` };
  }
  if (dedupe !== null) return { rule: "dedupe", callId: `call_${hmac(salt, ["dedupe", vendor, dedupe])}` };
  if (task !== null && attempt !== null) {
    // One name for the row, since a row of a thousand calls is walked for each of them; the request's hash in it is keyed already.
    const row = `call_${digest(JSON.stringify(["task", vendor, task, hash])).slice(0, 24)}`;
    return {
      rule: "task",
      ordinal: (n) => row + alphabet[n >>> 5] + alphabet[n & 31],
      alias: clientKey?.madeBy === "maybe" ? hmac(salt, ["key", vendor, clientKey.value]) : null,
      attempt,
      key: clientKey ? hmac(salt, ["client key", clientKey.value]) : null,
    };
  }
  if (clientKey) return { rule: "generated_key", callId: `call_${hmac(salt, ["key", vendor, clientKey.value])}` };
  return { rule: "none" };
}
