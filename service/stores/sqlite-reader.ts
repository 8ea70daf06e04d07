/** Reads of the database in steps, each bounded, so that none keeps a commit or the event loop waiting for long. */
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import type { DocId, Receipt } from "../ledger/types.ts";
import { type EncodedRecord, type RecordRow, SqliteRecords } from "./sqlite-records.ts";
import type { CallFilter, KeyFilter, RecordKind } from "./store.ts";

/** A row's number and its document. */
export type Row = [seq: number, json: string];

/** Which index a listing walks down; `null`: the table itself. */
export type Source = { column: "key_id" | "label" | "execution" | "owner"; value: string } | null;

export interface Scan {
  table: "keys" | "calls";
  source: Source;
  filter: CallFilter & KeyFilter;
  /** Only rows with smaller numbers. */
  below: number;
  /** Stop after so many matches. */
  matches: number;
}

export interface Scanned {
  rows: Row[];
  /** Go on below this number; `null`: no more rows. */
  next: number | null;
}

/** Rows that one step looks at: about a millisecond. */
const SCAN_ROWS = 1_000;

export class SqliteReader {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  readonly #records: SqliteRecords;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#records = new SqliteRecords(db);
  }

  /** One consistent view, since nothing else writes in between: the connection is the only one. */
  read(keyId: string, ids: readonly DocId[]): { state: string; version: number; docs: [DocId, string][] } | null {
    const key = this.#sql("SELECT doc, version FROM keys WHERE key_id = ?").get(keyId);
    if (!key) return null;
    const docs: [DocId, string][] = [];
    for (const id of ids) {
      const json = this.#doc(id);
      if (json !== null) docs.push([id, json]);
    }
    return { state: String(key.doc), version: Number(key.version), docs };
  }

  call(id: string): string | null {
    return this.#doc(`c:${id}`);
  }

  /** Walks down from `below` through at most {@link SCAN_ROWS} rows. */
  scan({ table, source, filter, below, matches }: Scan): Scanned {
    const { sql, values } = condition(filter);
    const where = source ? `${source.column} = ? AND seq < ?` : "seq < ?";
    const walk = this.#sql(`SELECT seq, ${sql} AS hit FROM ${table} WHERE ${where} ORDER BY seq DESC LIMIT ?`);
    const seen = walk.all(...values, ...(source ? [source.value] : []), below, SCAN_ROWS);
    const document = this.#sql(`SELECT doc FROM ${table} WHERE seq = ?`);
    const rows: Row[] = [];
    for (const each of seen) {
      if (each.hit !== 1) continue;
      const seq = Number(each.seq);
      rows.push([seq, String(document.get(seq)?.doc)]);
      if (rows.length === matches) return { rows, next: seq };
    }
    return { rows, next: seen.length < SCAN_ROWS ? null : Number(seen.at(-1)?.seq) };
  }

  /** Open calls with greater numbers, oldest first. */
  openCalls(above: number, limit: number): Row[] {
    const rows = this.#sql("SELECT seq, doc FROM calls WHERE open = 1 AND seq > ? ORDER BY seq LIMIT ?").all(
      above,
      limit,
    );
    return rows.map((row) => [Number(row.seq), String(row.doc)]);
  }

  pages(keyId: string, from: number, limit: number): [first: number, json: string][] {
    const sql = "SELECT first, doc FROM pages WHERE key_id = ? AND first >= ? ORDER BY first LIMIT ?";
    const rows = this.#sql(sql).all(keyId, from, limit);
    return rows.map((row) => [Number(row.first), String(row.doc)]);
  }

  page(keyId: string, n: number): string | null {
    const sql = "SELECT last, doc FROM pages WHERE key_id = ? AND first <= ? ORDER BY first DESC LIMIT 1";
    const row = this.#sql(sql).get(keyId, n);
    return row && Number(row.last) >= n ? String(row.doc) : null;
  }

  sweep(now: number, limit: number): number {
    const over = "SELECT seq FROM receipts WHERE expires_at <= ? ORDER BY expires_at LIMIT ?";
    return Number(this.#sql(`DELETE FROM receipts WHERE seq IN (${over})`).run(now, limit).changes);
  }

  settingOnce(name: string, value: string): string {
    this.#sql("INSERT INTO settings VALUES (?, ?) ON CONFLICT (name) DO NOTHING").run(name, value);
    return this.setting(name) ?? value;
  }

  setting(name: string): string | null {
    const row = this.#sql("SELECT value FROM settings WHERE name = ?").get(name);
    return row ? String(row.value) : null;
  }

  record(kind: RecordKind, name: string): RecordRow | null {
    return this.#records.get(kind, name);
  }

  /** Durable when it returns: outside of a transaction, a statement is one. */
  putRecord(record: EncodedRecord): number | null {
    return this.#records.put(record);
  }

  records(kind: RecordKind, after: string, limit: number): RecordRow[] {
    return this.#records.list(kind, after, limit);
  }

  #doc(id: DocId): string | null {
    if (id.startsWith("r:")) return this.#receipt(id.slice(2));
    const [table, own] = id.startsWith("c:") ? ["calls", id.slice(2)] : ["docs", id];
    const row = this.#sql(`SELECT doc FROM ${table} WHERE id = ?`).get(own);
    return row ? String(row.doc) : null;
  }

  #receipt(callId: string): string | null {
    const sql = "SELECT sealed, expires_at FROM receipts WHERE seq = (SELECT seq FROM calls WHERE id = ?)";
    const row = this.#sql(sql).get(callId);
    if (!row) return null;
    const receipt: Receipt = { sealed: String(row.sealed), expiresAt: Number(row.expires_at) };
    return JSON.stringify(receipt);
  }

  /** The texts are made of the constants above: their number is bounded by the combinations of filters. */
  #sql(text: string): StatementSync {
    const known = this.#statements.get(text);
    if (known) return known;
    const made = this.#db.prepare(text);
    this.#statements.set(text, made);
    return made;
  }
}

const conditions = {
  label: "(label = ? OR execution IS ?)",
  owner: "owner = ?",
  taskIndex: "task IS ?",
  vendor: "vendor = ?",
  state: "state = ?",
  since: "created_at >= ?",
  until: "created_at < ?",
};

function condition(filter: CallFilter & KeyFilter): { sql: string; values: SQLInputValue[] } {
  const parts: string[] = [];
  const values: SQLInputValue[] = [];
  for (const name of Object.keys(conditions) as (keyof typeof conditions)[]) {
    const value = filter[name];
    if (value === undefined) continue;
    parts.push(conditions[name]);
    values.push(value, ...(name === "label" ? [value] : []));
  }
  return { sql: parts.length > 0 ? `(${parts.join(" AND ")})` : "1", values };
}
