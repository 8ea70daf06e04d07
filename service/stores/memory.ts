/**
 * A store in memory for tests and simulations. It keeps JSON, so that nothing a caller holds is shared with it, and
 * injects the answers that a store far away can give: `conflict`, `doubt`, `StoreUnavailable`, delays.
 */
import type { Clock } from "../clock.ts";
import type { Call, ChainPage, Doc, DocId, KeyState, Receipt } from "../ledger/types.ts";
import { checkLimit } from "./cursor.ts";
import { type CommitFault, type FaultPlan, Faults, type RecordFault } from "./faults.ts";
import { callMatches, isOpenCall, keyMatches } from "./filters.ts";
import { MemoryRecords } from "./memory-records.ts";
import { type PageRow, page, pageRow, type Row, withReceipt } from "./memory-rows.ts";
import { checkRecordName, checkRecords } from "./records.ts";
import {
  type CallFilter,
  type Commit,
  type CommitResult,
  type KeyFilter,
  type Page,
  type PolicyDocs,
  type RecordKind,
  type RecordWrite,
  type Snapshot,
  type Store,
  type StoredRecord,
  StoreUnavailable,
  type Version,
  type Write,
} from "./store.ts";

export interface MemoryStoreOptions {
  clock: Pick<Clock, "now">;
  /** Default: no faults, and no delay but that of a promise. */
  faults?: FaultPlan;
  /** Default `false`. */
  exclusive?: boolean;
  /** Default: it keeps none. */
  policies?: PolicyDocs;
}

interface KeyRow extends Row {
  version: number;
  pages: PageRow[];
}

export class MemoryStore implements Store {
  readonly exclusive: boolean;
  readonly policies: PolicyDocs | null;
  readonly #clock: Pick<Clock, "now">;
  readonly #keys = new Map<string, KeyRow>();
  /** Insertion order is the order of the rows' numbers: a put keeps an entry's place in the map. */
  readonly #docs = new Map<DocId, Row>();
  readonly #settings = new Map<string, string>();
  readonly #records = new MemoryRecords();
  readonly #forced: CommitFault[] = [];
  readonly #forcedOfRecords: RecordFault[] = [];
  #faults: Faults | null;
  #rows = 0;
  #time = 0;
  #closed = false;

  constructor(options: MemoryStoreOptions) {
    this.#clock = options.clock;
    this.exclusive = options.exclusive ?? false;
    this.policies = options.policies ?? null;
    this.#faults = options.faults ? new Faults(options.faults) : null;
  }

  /** From now on these faults; `null`: none. */
  plan(faults: FaultPlan | null): void {
    this.#faults = faults ? new Faults(faults) : null;
  }

  /** The next commits have these faults, one each, before the plan has its say. */
  force(...faults: CommitFault[]): void {
    this.#forced.push(...faults);
  }

  /** As {@link force}, for records that are written on their own. */
  forceRecords(...faults: RecordFault[]): void {
    this.#forcedOfRecords.push(...faults);
  }

  read(keyId: string, ids: readonly DocId[]): Promise<Snapshot | null> {
    return this.#reading(() => {
      const key = this.#keys.get(keyId);
      if (!key) return null;
      const docs = new Map<DocId, Doc>();
      for (const id of ids) {
        const row = this.#docs.get(id);
        if (row) docs.set(id, JSON.parse(row.json) as Doc);
      }
      return { state: JSON.parse(key.json) as KeyState, version: String(key.version), docs };
    });
  }

  async commit(keyId: string, commit: Commit): Promise<CommitResult> {
    // What the caller changes after this call must not reach the store.
    const taken = JSON.parse(JSON.stringify(commit)) as Commit;
    checkRecords(taken.records ?? []);
    await this.#faults?.pause();
    const fault = this.#forced.shift() ?? this.#faults?.commit() ?? null;
    const result = this.#faulty(keyId, taken, fault);
    await this.#faults?.pause();
    if (result === null) throw new StoreUnavailable("The store in memory was told to fail.");
    return result;
  }

  findCall(callId: string): Promise<Call | null> {
    return this.#reading(() => {
      const row = this.#docs.get(`c:${callId}`);
      return row ? (JSON.parse(row.json) as Call) : null;
    });
  }

  listKeys(filter: KeyFilter, limit: number, cursor: string | null): Promise<Page<KeyState>> {
    return this.#reading(() => {
      const rows = [...this.#keys.values()].reverse();
      return page<KeyState>("keys", rows, limit, cursor, (key) => keyMatches(filter, key));
    });
  }

  listCalls(filter: CallFilter, limit: number, cursor: string | null): Promise<Page<Call>> {
    return this.#reading(() =>
      page<Call>("calls", this.#calls().reverse(), limit, cursor, (call) => callMatches(filter, call)),
    );
  }

  listOpenCalls(limit: number, cursor: string | null): Promise<Page<Call>> {
    return this.#reading(() => page<Call>("open", this.#calls(), limit, cursor, isOpenCall));
  }

  listPages(keyId: string, from: number, limit: number): Promise<ChainPage[]> {
    return this.#reading(() => {
      checkLimit(limit);
      const pages = (this.#keys.get(keyId)?.pages ?? []).filter((each) => each.first >= from);
      return pages.slice(0, limit).map((each) => JSON.parse(each.json) as ChainPage);
    });
  }

  findPage(keyId: string, n: number): Promise<ChainPage | null> {
    return this.#reading(() => {
      const found = this.#keys.get(keyId)?.pages.find((each) => each.first <= n && n <= each.last);
      return found ? (JSON.parse(found.json) as ChainPage) : null;
    });
  }

  sweepReceipts(now: number, limit: number): Promise<number> {
    return this.#reading(() => {
      checkLimit(limit);
      const over = [...this.#docs].filter(([id, row]) => {
        return id.startsWith("r:") && (JSON.parse(row.json) as Receipt).expiresAt <= now;
      });
      for (const [id] of over.slice(0, limit)) this.#docs.delete(id);
      return Math.min(over.length, limit);
    });
  }

  settingOnce(name: string, value: string): Promise<string> {
    return this.#reading(() => {
      const kept = this.#settings.get(name) ?? value;
      this.#settings.set(name, kept);
      return kept;
    });
  }

  setting(name: string): Promise<string | null> {
    return this.#reading(() => this.#settings.get(name) ?? null);
  }

  record(kind: RecordKind, name: string): Promise<StoredRecord | null> {
    return this.#reading(() => this.#records.get(kind, name));
  }

  async putRecord(write: RecordWrite): Promise<Version | null> {
    const taken = JSON.parse(JSON.stringify(write)) as RecordWrite;
    checkRecordName(taken.name);
    await this.#faults?.pause();
    this.#open();
    const fault = this.#forcedOfRecords.shift() ?? this.#faults?.record() ?? null;
    if (fault === "unavailable") throw new StoreUnavailable("The store in memory was told to fail.");
    const version = fault !== "conflict" && this.#records.isAt(taken) ? this.#records.put(taken) : null;
    await this.#faults?.pause();
    if (fault === "lost") throw new StoreUnavailable("The store in memory was told to lose the answer.");
    return version;
  }

  listRecords(kind: RecordKind, limit: number, cursor: string | null): Promise<Page<StoredRecord>> {
    return this.#reading(() => this.#records.list(kind, limit, cursor));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  async #reading<T>(look: () => T): Promise<T> {
    await this.#faults?.pause();
    this.#open();
    if (this.#faults?.read()) throw new StoreUnavailable("The store in memory was told to fail.");
    const found = look();
    await this.#faults?.pause();
    return found;
  }

  #open(): void {
    if (this.#closed) throw new StoreUnavailable("The store is closed.");
  }

  #calls(): Row[] {
    return [...this.#docs].filter(([id]) => id.startsWith("c:")).map(([, row]) => row);
  }

  /** @returns `null` for a commit that throws. */
  #faulty(keyId: string, commit: Commit, fault: CommitFault | null): CommitResult | null {
    this.#open();
    if (fault === "unavailable") return null;
    if (fault === "conflict") return { kind: "conflict" };
    if (fault === "doubt_lost") return { kind: "doubt" };
    const result = this.#apply(keyId, commit);
    return fault === "doubt_applied" ? { kind: "doubt" } : result;
  }

  #apply(keyId: string, commit: Commit): CommitResult {
    const key = this.#keys.get(keyId);
    if ((key ? String(key.version) : null) !== commit.version) return { kind: "conflict" };
    const records = commit.records ?? [];
    if (!records.every((record) => this.#records.isAt(record))) return { kind: "conflict" };
    const ids = this.#taken(commit.writes);
    if (ids.length > 0) return { kind: "exists", ids };

    const pages = key?.pages ?? [];
    if (commit.page) pages.push(pageRow(commit.page, pages.at(-1)?.last ?? null));
    for (const write of commit.writes) {
      if (write.op === "delete") for (const id of withReceipt(write.id)) this.#docs.delete(id);
      else this.#put(write.id, JSON.stringify(write.doc));
    }
    for (const record of records) this.#records.put(record);
    const version = (key?.version ?? 0) + 1;
    this.#keys.set(keyId, { row: key?.row ?? this.#nextRow(), version, json: JSON.stringify(commit.state), pages });
    this.#time = Math.max(this.#time, this.#clock.now());
    return { kind: "committed", version: String(version), time: this.#time };
  }

  /** Ids that the writes would create although they are there at that point. Throws for a receipt of no call. */
  #taken(writes: Write[]): DocId[] {
    const changed = new Map<DocId, boolean>();
    const there = (id: DocId) => changed.get(id) ?? this.#docs.has(id);
    const taken: DocId[] = [];
    for (const { op, id } of writes) {
      if (op === "delete") {
        for (const each of withReceipt(id)) changed.set(each, false);
        continue;
      }
      if (id.startsWith("r:") && !there(`c:${id.slice(2)}`)) throw new Error(`The receipt ${id} is of no call.`);
      if (op === "create" && there(id)) taken.push(id);
      changed.set(id, true);
    }
    return taken;
  }

  #put(id: DocId, json: string): void {
    this.#docs.set(id, { row: this.#docs.get(id)?.row ?? this.#nextRow(), json });
  }

  #nextRow(): number {
    this.#rows += 1;
    return this.#rows;
  }
}
