/**
 * The embedded store: one SQLite file (WAL, synchronous FULL), owned by one process. A commit is answered when it is on
 * the disk; commits that come together share one transaction.
 */
import type { Clock } from "../clock.ts";
import type { Call, ChainPage, Doc, DocId, KeyState } from "../ledger/types.ts";
import { checkLimit, decodeCursor, encodeCursor, type Listing } from "./cursor.ts";
import { checkRecordName, checkRecords, decodeRecordCursor, encodeRecordCursor } from "./records.ts";
import { encodeCommit } from "./sqlite-encode.ts";
import { LocalPort, type SqlitePort } from "./sqlite-port.ts";
import type { Source } from "./sqlite-reader.ts";
import { encodeRecord, type RecordRow } from "./sqlite-records.ts";
import { type Walk, walkDown } from "./sqlite-walk.ts";
import { WorkerPort } from "./sqlite-worker.ts";
import type {
  CallFilter,
  Commit,
  CommitResult,
  KeyFilter,
  Page,
  RecordDoc,
  RecordKind,
  RecordWrite,
  Snapshot,
  Store,
  StoredRecord,
  Version,
} from "./store.ts";

export interface SqliteStoreOptions {
  /** A file, or `:memory:` (gone with the process). */
  path: string;
  clock: Pick<Clock, "now">;
  /** Keep the database in a thread of its own, so that waiting for the disk does not hold up the event loop. */
  worker?: boolean;
  /** How long to wait for another process to let go of the file. Default 1000. */
  lockWaitMs?: number;
  /** Called when the store has ended by itself and can only be opened anew. */
  onLost?: () => void;
}

/** Documents that one step of a listing reads: they are parsed in this thread, at some microseconds each. */
const STEP_DOCS = 100;
/** A chain page may hold some 60 KiB. */
const STEP_PAGES = 8;
const STEP_RECEIPTS = 100;
const MAX_IDS = 10_000;
const MAX_KEYS = 1_000;

/** Throws `StoreUnavailable` with a sentence that names the file and the fix. */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const engine = { path: options.path, lockWaitMs: options.lockWaitMs ?? 1_000 };
  const worker = options.worker ?? options.path !== ":memory:";
  return new SqliteStore(
    worker ? await WorkerPort.open(engine, options.onLost ?? (() => {})) : new LocalPort(engine),
    options.clock,
  );
}

class SqliteStore implements Store {
  readonly exclusive = true;
  readonly policies = null;
  readonly #port: SqlitePort;
  readonly #clock: Pick<Clock, "now">;

  constructor(port: SqlitePort, clock: Pick<Clock, "now">) {
    this.#port = port;
    this.#clock = clock;
  }

  async read(keyId: string, ids: readonly DocId[]): Promise<Snapshot | null> {
    if (ids.length > MAX_IDS)
      throw new RangeError(`One read takes at most ${MAX_IDS} ids; it was given ${ids.length}.`);
    const found = await this.#port.ask("read", keyId, ids);
    if (!found) return null;
    const docs = new Map<DocId, Doc>(found.docs.map(([id, json]) => [id, JSON.parse(json) as Doc]));
    return { state: JSON.parse(found.state) as KeyState, version: String(found.version), docs };
  }

  async commit(keyId: string, commit: Commit): Promise<CommitResult> {
    checkRecords(commit.records ?? []);
    const reply = await this.#port.commit(encodeCommit(keyId, commit, this.#clock.now()));
    if (reply.kind === "broken")
      throw new Error(`The commit of key ${keyId} breaks a rule of the store: ${reply.message}`);
    return reply;
  }

  async findCall(callId: string): Promise<Call | null> {
    const json = await this.#port.ask("call", callId);
    return json === null ? null : (JSON.parse(json) as Call);
  }

  listKeys(filter: KeyFilter, limit: number, cursor: string | null): Promise<Page<KeyState>> {
    const sources: Source[] =
      filter.label !== undefined
        ? either(filter.label)
        : [filter.owner === undefined ? null : own("owner", filter.owner)];
    return this.#newestFirst<KeyState>("keys", { table: "keys", sources, filter, limit }, cursor);
  }

  async listCalls(filter: CallFilter, limit: number, cursor: string | null): Promise<Page<Call>> {
    const keyIds = filter.keyIds && [...new Set(filter.keyIds)];
    if (keyIds && keyIds.length > MAX_KEYS) throw new RangeError(`One listing takes at most ${MAX_KEYS} keys.`);
    const sources: Source[] =
      keyIds?.map((id) => own("key_id", id)) ?? (filter.label === undefined ? [null] : either(filter.label));
    return this.#newestFirst<Call>("calls", { table: "calls", sources, filter, limit }, cursor);
  }

  async listOpenCalls(limit: number, cursor: string | null): Promise<Page<Call>> {
    checkLimit(limit);
    const items: Call[] = [];
    let last = decodeCursor("open", cursor) ?? 0;
    while (items.length < limit) {
      const wanted = Math.min(STEP_DOCS, limit - items.length);
      const rows = await this.#port.ask("openCalls", last, wanted);
      for (const [, json] of rows) items.push(JSON.parse(json) as Call);
      last = rows.at(-1)?.[0] ?? last;
      if (rows.length < wanted) return { items, cursor: null };
    }
    return { items, cursor: encodeCursor("open", last) };
  }

  async listPages(keyId: string, from: number, limit: number): Promise<ChainPage[]> {
    checkLimit(limit);
    const pages: ChainPage[] = [];
    let next = from;
    while (pages.length < limit) {
      const wanted = Math.min(STEP_PAGES, limit - pages.length);
      const rows = await this.#port.ask("pages", keyId, next, wanted);
      for (const [, json] of rows) pages.push(JSON.parse(json) as ChainPage);
      if (rows.length < wanted) break;
      next = (rows.at(-1)?.[0] ?? next) + 1;
    }
    return pages;
  }

  async findPage(keyId: string, n: number): Promise<ChainPage | null> {
    const json = await this.#port.ask("page", keyId, n);
    return json === null ? null : (JSON.parse(json) as ChainPage);
  }

  async sweepReceipts(now: number, limit: number): Promise<number> {
    checkLimit(limit);
    let swept = 0;
    while (swept < limit) {
      const wanted = Math.min(STEP_RECEIPTS, limit - swept);
      const gone = await this.#port.ask("sweep", now, wanted);
      swept += gone;
      if (gone < wanted) break;
    }
    return swept;
  }

  settingOnce(name: string, value: string): Promise<string> {
    return this.#port.ask("settingOnce", name, value);
  }

  setting(name: string): Promise<string | null> {
    return this.#port.ask("setting", name);
  }

  async record(kind: RecordKind, name: string): Promise<StoredRecord | null> {
    checkRecordName(name);
    const row = await this.#port.ask("record", kind, name);
    return row && stored(row);
  }

  async putRecord(write: RecordWrite): Promise<Version | null> {
    checkRecordName(write.name);
    const version = await this.#port.ask("putRecord", encodeRecord(write));
    return version === null ? null : String(version);
  }

  async listRecords(kind: RecordKind, limit: number, cursor: string | null): Promise<Page<StoredRecord>> {
    checkLimit(limit);
    const items: StoredRecord[] = [];
    let last = decodeRecordCursor(kind, cursor) ?? "";
    while (items.length < limit) {
      const wanted = Math.min(STEP_DOCS, limit - items.length);
      const rows = await this.#port.ask("records", kind, last, wanted);
      items.push(...rows.map(stored));
      last = rows.at(-1)?.[0] ?? last;
      if (rows.length < wanted) return { items, cursor: null };
    }
    return { items, cursor: encodeRecordCursor(kind, last) };
  }

  close(): Promise<void> {
    return this.#port.close();
  }

  async #newestFirst<T>(
    listing: Listing,
    walk: Omit<Walk, "below" | "stepDocs">,
    cursor: string | null,
  ): Promise<Page<T>> {
    checkLimit(walk.limit);
    const below = decodeCursor(listing, cursor) ?? Number.MAX_SAFE_INTEGER;
    const { rows, next } = await walkDown(this.#port, { ...walk, below, stepDocs: STEP_DOCS });
    return {
      items: rows.map((json) => JSON.parse(json) as T),
      cursor: next === null ? null : encodeCursor(listing, next),
    };
  }
}

function stored([name, json, version]: RecordRow): StoredRecord {
  return { name, doc: JSON.parse(json) as RecordDoc, version: String(version) };
}

function own(column: NonNullable<Source>["column"], value: string): Source {
  return { column, value };
}

function either(label: string): Source[] {
  return [own("label", label), own("execution", label)];
}
