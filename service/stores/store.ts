/**
 * The one interface between the ledger and what keeps it. A store knows no money: it keeps documents, and applies a
 * commit whole or not at all. `test/stores/contract.ts` is the contract that every store passes.
 */
import type { Call, CallState, ChainPage, Doc, DocId, DocTypes, KeyState } from "../ledger/types.ts";

/** Opaque to the ledger: what the store compares to know that nobody wrote the key in between. */
export type Version = string;

/**
 * The writes of one commit apply in the order of the array. Ids are unique in the whole store, not per key. A call keeps
 * its place in the listings when it is put again. A receipt belongs to a call: one of a call that is not there is an error
 * (ours), and a call's deletion deletes its receipt.
 */
export type Write =
  /** The document must not exist: otherwise the commit answers `exists`. */
  | { op: "create"; id: DocId; doc: Doc }
  /** Replaces the document, or makes it when there is none. */
  | { op: "put"; id: DocId; doc: Doc }
  /** A document that does not exist is no error. */
  | { op: "delete"; id: DocId };

/** Small documents beside the ledger, each kind with names of its own. */
export type RecordKind =
  /** Credential of a caller outside Google Cloud. */
  | "issuer"
  /** One run of a job: from the request to launch it to its execution. */
  | "run"
  /** Execution's name → its key: unique in the proxy. */
  | "execution"
  /** Which run of a job that runs one at a time has the turn. */
  | "turn"
  /** Which run the forced requests of a job mean. */
  | "forced"
  /** What a policy has issued in one UTC day. */
  | "policy_day";

/** Plain JSON. */
export type RecordDoc = Readonly<Record<string, unknown>>;

export interface StoredRecord {
  name: string;
  doc: RecordDoc;
  version: Version;
}

export interface RecordWrite {
  kind: RecordKind;
  /** `[A-Za-z0-9._:@-]{1,250}`. */
  name: string;
  doc: RecordDoc;
  /** What was read; `null`: it must not exist yet. */
  version: Version | null;
  /** A store that forgets by itself may drop it some time after this, ms; `null`: kept. */
  expiresAt: number | null;
}

export interface Commit {
  /** What was read; `null`: the key must not exist yet. */
  version: Version | null;
  state: KeyState;
  /** Records of this commit; `null` when it changes no balance (counters of refusals). */
  page: ChainPage | null;
  writes: Write[];
  /** Records that are written in the same commit, each named once, at most 16; one that is not at its version any more makes it a `conflict`. */
  records?: RecordWrite[];
}

export type CommitResult =
  | { kind: "committed"; version: Version /** store's time, ms */; time: number }
  /** The key, or a record, is not at its version any more (or exists already). Nothing was written. */
  | { kind: "conflict" }
  /** Documents that were to be created exist. Nothing was written. */
  | { kind: "exists"; ids: DocId[] }
  /** The answer was lost: it applied whole or not at all. */
  | { kind: "doubt" };

export interface Snapshot {
  state: KeyState;
  version: Version;
  /** Those of the asked documents that exist. One consistent read with `state`. */
  docs: Map<DocId, Doc>;
}

export interface CallFilter {
  keyIds?: string[];
  /** Matches calls whose label or bound execution is this. */
  label?: string;
  owner?: string;
  taskIndex?: number;
  vendor?: string;
  state?: CallState;
  /** Milliseconds, inclusive / exclusive, on `createdAt`. */
  since?: number;
  until?: number;
}

export interface KeyFilter {
  /** Matches the label or the bound execution. */
  label?: string;
  owner?: string;
}

export interface Page<T> {
  items: T[];
  /** Goes on after the last item; `null` at the end. A page may hold fewer items than its limit though there are more. Stays right while rows are added: no row twice, none skipped. */
  cursor: string | null;
}

export interface Store {
  /** @returns `null` when there is no such key. Throws {@link StoreUnavailable} when the store cannot be read. */
  read(keyId: string, ids: readonly DocId[]): Promise<Snapshot | null>;
  commit(keyId: string, commit: Commit): Promise<CommitResult>;

  /** A call by its id, without knowing its key. */
  findCall(callId: string): Promise<Call | null>;
  /** Newest first. */
  listKeys(filter: KeyFilter, limit: number, cursor: string | null): Promise<Page<KeyState>>;
  /** Newest first. */
  listCalls(filter: CallFilter, limit: number, cursor: string | null): Promise<Page<Call>>;
  /** Calls in RESERVED or UNKNOWN, or whose price is pending, oldest first. */
  listOpenCalls(limit: number, cursor: string | null): Promise<Page<Call>>;
  /** Chain pages of a key with `first` ≥ from, in order. */
  listPages(keyId: string, from: number, limit: number): Promise<ChainPage[]>;
  /** The page that holds chain number `n`. */
  findPage(keyId: string, n: number): Promise<ChainPage | null>;
  /** Deletes receipts whose `expiresAt` is over; at most `limit`. @returns how many. A store that keeps them in packs counts packs, also of receipts that were replaced or whose calls are gone. */
  sweepReceipts(now: number, limit: number): Promise<number>;
  /** One process at a time owns this store: whatever is RESERVED when it opens was left by a dead one. */
  readonly exclusive: boolean;
  /** A proxy-wide value written once (admin key's hash, versions in use). @returns the value that is kept: the first one written. */
  settingOnce(name: string, value: string): Promise<string>;
  setting(name: string): Promise<string | null>;
  /** Throws {@link StoreUnavailable}, as the next three do. */
  record(kind: RecordKind, name: string): Promise<StoredRecord | null>;
  /**
   * One record by compare-and-set. @returns its new version, or `null` when it is not at its version any more. Throws
   * {@link StoreUnavailable} also when the answer was lost: then it may have been written, and reading it tells.
   */
  putRecord(write: RecordWrite): Promise<Version | null>;
  /** By name, ascending. */
  listRecords(kind: RecordKind, limit: number, cursor: string | null): Promise<Page<StoredRecord>>;
  /** Where this store also keeps the policies; `null`: it keeps none. */
  readonly policies: PolicyDocs | null;
  close(): Promise<void>;
}

/** Policies as they were written, not yet checked. Never cached: a policy that was changed holds from the next read on. */
export interface PolicyDocs {
  byId(id: string): Promise<RecordDoc | null>;
  /** Those whose `principal_ids` contain this e-mail or subject; at most three, which is more than may be. */
  byPrincipal(principal: string): Promise<{ id: string; doc: RecordDoc }[]>;
}

/** The store cannot be reached or written. The ledger answers 503 `ledger_unavailable`. */
export class StoreUnavailable extends Error {
  override name = "StoreUnavailable";
}

/** A cursor that no listing of this kind gave out. The control plane answers 400 `request_invalid`. */
export class BadCursor extends Error {
  override name = "BadCursor";
}

export function docAs<K extends keyof DocTypes>(
  docs: ReadonlyMap<DocId, Doc>,
  kind: K,
  id: string,
): DocTypes[K] | undefined {
  return docs.get(`${kind}:${id}`) as DocTypes[K] | undefined;
}
