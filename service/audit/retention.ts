/**
 * What is past its retention is not shown, whether the store has deleted it yet or not: it does so some time later, and not all at
 * once (https://cloud.google.com/firestore/docs/ttl, read 2026-11).
 */
import type { Call, KeyState } from "../ledger/types.ts";
import { isOpenCall } from "../stores/filters.ts";

export interface Retention {
  /** How long after a key's end its calls and records are kept; `null`: the store forgets nothing. */
  retentionMs: number | null;
  now: number;
}

/** True when the key's records and its calls are not kept any more, but for calls that are still open. */
export function isPast({ expiresAt }: Pick<KeyState, "expiresAt">, { retentionMs, now }: Retention): boolean {
  return retentionMs !== null && now >= expiresAt + retentionMs;
}

/** False: the call is shown without a look at its key, which ends after the call was made. */
export function mayBePast(call: Call, { retentionMs, now }: Retention): boolean {
  return retentionMs !== null && now >= call.createdAt + retentionMs && !isOpenCall(call);
}
