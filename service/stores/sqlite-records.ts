/** The small records of the embedded store: one table, each row by compare-and-set on its version. */
import type { DatabaseSync } from "node:sqlite";
import type { RecordKind, RecordWrite } from "./store.ts";

/** The version is `NaN` when it is none that this store gave out: it equals no row's. */
export type EncodedRecord = readonly [kind: RecordKind, name: string, version: number | null, json: string];
export type RecordRow = [name: string, json: string, version: number];

export function encodeRecord({ kind, name, version, doc }: RecordWrite): EncodedRecord {
  return [kind, name, version === null ? null : Number(version), JSON.stringify(doc)];
}

export class SqliteRecords {
  readonly #sql: ReturnType<typeof prepare>;

  constructor(db: DatabaseSync) {
    this.#sql = prepare(db);
  }

  get(kind: RecordKind, name: string): RecordRow | null {
    const row = this.#sql.get.get(kind, name);
    return row ? [name, String(row.doc), Number(row.version)] : null;
  }

  /** @returns its new version, or `null` when it is not at its version any more. */
  put([kind, name, version, json]: EncodedRecord): number | null {
    if (version === null) return this.#sql.make.run(kind, name, json).changes === 1 ? 1 : null;
    if (Number.isNaN(version)) return null;
    return this.#sql.move.run(json, kind, name, version).changes === 1 ? version + 1 : null;
  }

  list(kind: RecordKind, after: string, limit: number): RecordRow[] {
    const rows = this.#sql.list.all(kind, after, limit);
    return rows.map((row) => [String(row.name), String(row.doc), Number(row.version)]);
  }
}

function prepare(db: DatabaseSync) {
  return {
    get: db.prepare("SELECT doc, version FROM records WHERE kind = ? AND name = ?"),
    make: db.prepare("INSERT INTO records (kind, name, version, doc) VALUES (?, ?, 1, ?) ON CONFLICT DO NOTHING"),
    move: db.prepare("UPDATE records SET version = version + 1, doc = ? WHERE kind = ? AND name = ? AND version = ?"),
    list: db.prepare("SELECT name, doc, version FROM records WHERE kind = ? AND name > ? ORDER BY name LIMIT ?"),
  };
}
