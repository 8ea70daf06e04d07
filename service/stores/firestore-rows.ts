/**
 * Where each document of the ledger is in Firestore, and which of its fields Firestore may see. A document is one JSON text that
 * no index reads (`doc`), beside the few fields that listings choose by:
 *
 * | collection | document | fields beside `doc` |
 * |---|---|---|
 * | `keys` | key's id | `order`, `names`, `owner`, and `beat`: a text of its last commit alone; its update time is the version |
 * | `keys/…/pages` | number of its last record, padded | `beat` of its commit |
 * | `calls` | call's id | `order`, `key`, `names`, `owner`, `state`, `open`, and `pack`: which pack has its receipt |
 * | `receipts` | random | one pack: all receipts of one commit with one end |
 * | `docs` | `a:…`, `o:…`, `u:…` | – |
 * | `records`, `settings`, `policies` | see firestore-records.ts | |
 *
 * `expireAt` is the field of the TTL policies: after it Firestore may delete the document at any time. Keys have none: a key's
 * document is what keeps its label from being used again.
 */
import type { Call, DocId, KeyState } from "../ledger/types.ts";
import { isOpenCall } from "./filters.ts";
import { type Fields, text, texts, time, yes } from "./firestore-values.ts";

export const keyPath = (keyId: string): string => `keys/${keyId}`;
export const callPath = (callId: string): string => `calls/${callId}`;
export const packPath = (pack: string): string => `receipts/${pack}`;

/** Pages are named by their last record, so that the page of any number is the first that follows, in the order of names. */
export const pageId = (last: number): string => String(last).padStart(15, "0");
export const pagePath = (keyId: string, last: number): string => `${keyPath(keyId)}/pages/${pageId(last)}`;

/** Where the document is; a receipt's place is in its call's row. */
export const docPath = (id: DocId): string =>
  id.startsWith("c:") || id.startsWith("r:") ? callPath(id.slice(2)) : `docs/${id}`;

/**
 * False for an id that no document can have: Firestore keeps it for itself (https://firebase.google.com/docs/firestore/quotas, read
 * 2026-11), and answers a read of it with an error.
 */
export const isDocumentId = (id: string): boolean => !/^(?:__.*__|\.\.?)$/.test(id);

/** What listings by label find: the label, and the execution that it is bound to. */
function names({ label, execution }: { label: string; execution: string | null }): string[] {
  return execution === null || execution === label ? [label] : [label, execution];
}

/** @param beat changes with each commit: Firestore moves no update time for a write that changes nothing. */
export function keyFields(state: KeyState, beat: string): Fields {
  return { doc: text(JSON.stringify(state)), beat: text(beat), names: texts(names(state)), owner: text(state.owner) };
}

/** Names of {@link callFields}, those that are left out too: a field that is named and left out is deleted. */
export const callColumns = ["doc", "key", "names", "owner", "state", "open", "expireAt"];

/** @param forgetAt when a call may be forgotten that is not open any more, ms. */
export function callFields(call: Call, forgetAt: number): Fields {
  return {
    doc: text(JSON.stringify(call)),
    key: text(call.keyId),
    names: texts(names(call)),
    owner: text(call.owner),
    state: text(call.state),
    ...(isOpenCall(call) ? { open: yes } : { expireAt: time(forgetAt) }),
  };
}

/** Smallest number that the row of a call made then, ms, can have. */
export const lowestOrder = (createdAt: number): number => createdAt * 1_000;

/**
 * Numbers rows in the order in which they are written. A row's number is the microsecond of its call's creation, or the next one
 * that this process has not given out; it is never changed, so rows do not move. It is never further from the creation than
 * {@link ORDER_SLACK_MS}, so that times of creation bound it.
 */
export class RowOrder {
  #last = 0;

  next(createdAt: number): number {
    const own = lowestOrder(createdAt);
    const ahead = this.#last - own;
    // A clock that was far ahead must not number everything after its time until it is caught up with.
    this.#last = ahead >= 0 && ahead < ORDER_SLACK_MS * 1_000 ? this.#last + 1 : own;
    return this.#last;
  }
}

/** All receipts of one commit with one end. */
export interface Pack {
  expiresAt: number;
  /** By call. */
  sealed: Record<string, string>;
}

export const ORDER_SLACK_MS = 60_000;
