/**
 * The store of a deployed proxy: Cloud Firestore, shared by all instances. A commit is one request without locks and without a
 * read before it: the key's update time is the precondition. No request is sent twice by itself, and each has a deadline.
 */
import type { Random } from "../clock.ts";
import type { Call, ChainPage, DocId, KeyState } from "../ledger/types.ts";
import { checkLimit } from "./cursor.ts";
import { callMatches, keyMatches } from "./filters.ts";
import { type FirestoreConnection, openConnection } from "./firestore-client.ts";
import { FirestoreCommitter, randomIds } from "./firestore-committer.ts";
import { guarded } from "./firestore-failure.ts";
import { callSources, keySources, packsOver } from "./firestore-queries.ts";
import { FirestoreReader } from "./firestore-reader.ts";
import { FirestorePolicies, FirestoreRecords } from "./firestore-records.ts";
import { walkNewestFirst, walkOpenCalls } from "./firestore-walk.ts";
import { decodeRecordCursor } from "./records.ts";
import type {
  CallFilter,
  Commit,
  CommitResult,
  KeyFilter,
  Page,
  PolicyDocs,
  RecordKind,
  RecordWrite,
  Snapshot,
  Store,
  StoredRecord,
  Version,
} from "./store.ts";

export interface FirestoreStoreOptions {
  project: string;
  database: string;
  /** `HOST:PORT` of an emulator; `null`: Google's Firestore, with the credentials of the surroundings. */
  emulator: string | null;
  random: Pick<Random, "bytes">;
  /** Days that what is finished is kept after its key's end. Default 400. */
  retentionDays?: number;
  /** How long one request may take, ms. Default 5000. */
  deadlineMs?: number;
}

const DEADLINE_MS = 5_000;
const RETENTION_DAYS = 400;
const DAY_MS = 86_400_000;
const MAX_KEYS = 1_000;
/** Packs deleted by one request. */
const MAX_SWEPT = 500;

/** Loads the client library; the first request connects. */
export async function openFirestoreStore(options: FirestoreStoreOptions): Promise<Store> {
  const { project, database, emulator, deadlineMs = DEADLINE_MS, random, retentionDays = RETENTION_DAYS } = options;
  const connection = await openConnection({ project, database, emulator, deadlineMs });
  return new FirestoreStore(connection, random, retentionDays * DAY_MS);
}

export class FirestoreStore implements Store {
  /** Other instances of the proxy write to it too. */
  readonly exclusive = false;
  readonly policies: PolicyDocs;
  readonly #connection: FirestoreConnection;
  readonly #committer: FirestoreCommitter;
  readonly #reader: FirestoreReader;
  readonly #records: FirestoreRecords;

  constructor(connection: FirestoreConnection, random: Pick<Random, "bytes">, retentionMs: number) {
    const randomId = randomIds(random);
    this.#connection = connection;
    this.#committer = new FirestoreCommitter(connection, randomId, retentionMs);
    this.#reader = new FirestoreReader(connection);
    this.#records = new FirestoreRecords(connection, randomId);
    this.policies = new FirestorePolicies(connection);
  }

  read(keyId: string, ids: readonly DocId[]): Promise<Snapshot | null> {
    return guarded(() => this.#reader.read(keyId, ids));
  }

  commit(keyId: string, commit: Commit): Promise<CommitResult> {
    return this.#committer.commit(keyId, commit);
  }

  findCall(callId: string): Promise<Call | null> {
    return guarded(() => this.#reader.findCall(callId));
  }

  listKeys(filter: KeyFilter, limit: number, cursor: string | null): Promise<Page<KeyState>> {
    const choice = keySources(filter);
    const matches = (key: KeyState) => keyMatches(filter, key);
    return guarded(() =>
      walkNewestFirst<KeyState>(this.#connection, { listing: "keys", ...choice, matches, limit, cursor }),
    );
  }

  listCalls(filter: CallFilter, limit: number, cursor: string | null): Promise<Page<Call>> {
    const matches = (call: Call) => callMatches(filter, call);
    return guarded(async () => {
      const keys = filter.keyIds?.length ?? 0;
      if (keys > MAX_KEYS) throw new RangeError(`One listing takes at most ${MAX_KEYS} keys; it was given ${keys}.`);
      const choice = callSources(filter);
      return walkNewestFirst<Call>(this.#connection, { listing: "calls", ...choice, matches, limit, cursor });
    });
  }

  listOpenCalls(limit: number, cursor: string | null): Promise<Page<Call>> {
    return guarded(() => walkOpenCalls<Call>(this.#connection, limit, cursor));
  }

  listPages(keyId: string, from: number, limit: number): Promise<ChainPage[]> {
    return guarded(() => this.#reader.listPages(keyId, from, limit));
  }

  findPage(keyId: string, n: number): Promise<ChainPage | null> {
    return guarded(() => this.#reader.findPage(keyId, n));
  }

  /** Receipts are kept in packs, those of one commit with one end together, and go with them: it counts packs. */
  sweepReceipts(now: number, limit: number): Promise<number> {
    return guarded(async () => {
      checkLimit(limit);
      let swept = 0;
      while (swept < limit) {
        const wanted = Math.min(MAX_SWEPT, limit - swept);
        const { parent, query } = packsOver(now, wanted);
        const over = await this.#connection.query(parent, query);
        if (over.length > 0) {
          await this.#connection.commit(over.map(({ path }) => ({ delete: `${this.#connection.root}/${path}` })));
        }
        swept += over.length;
        if (over.length < wanted) break;
      }
      return swept;
    });
  }

  record(kind: RecordKind, name: string): Promise<StoredRecord | null> {
    return guarded(() => this.#records.get(kind, name));
  }

  putRecord(write: RecordWrite): Promise<Version | null> {
    return guarded(() => this.#records.put(write));
  }

  listRecords(kind: RecordKind, limit: number, cursor: string | null): Promise<Page<StoredRecord>> {
    return guarded(async () => {
      checkLimit(limit);
      return this.#records.list(kind, limit, decodeRecordCursor(kind, cursor));
    });
  }

  settingOnce(name: string, value: string): Promise<string> {
    return guarded(() => this.#records.settingOnce(name, value));
  }

  setting(name: string): Promise<string | null> {
    return guarded(() => this.#records.setting(name));
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}
