/** The small records of the in-memory store, kept as JSON. */
import { checkLimit } from "./cursor.ts";
import { checkRecordName, decodeRecordCursor, encodeRecordCursor } from "./records.ts";
import type { Page, RecordDoc, RecordKind, RecordWrite, StoredRecord, Version } from "./store.ts";

interface Row {
  version: number;
  json: string;
}

export class MemoryRecords {
  readonly #rows = new Map<RecordKind, Map<string, Row>>();

  get(kind: RecordKind, name: string): StoredRecord | null {
    checkRecordName(name);
    const row = this.#rows.get(kind)?.get(name);
    return row ? stored(name, row) : null;
  }

  /** True when the record is what was read. */
  isAt({ kind, name, version }: RecordWrite): boolean {
    const row = this.#rows.get(kind)?.get(name);
    return (row ? String(row.version) : null) === version;
  }

  /** @returns the new version. Whoever calls has asked {@link isAt}. */
  put({ kind, name, doc }: RecordWrite): Version {
    const rows = this.#rows.get(kind) ?? new Map<string, Row>();
    const version = (rows.get(name)?.version ?? 0) + 1;
    this.#rows.set(kind, rows.set(name, { version, json: JSON.stringify(doc) }));
    return String(version);
  }

  list(kind: RecordKind, limit: number, cursor: string | null): Page<StoredRecord> {
    checkLimit(limit);
    const after = decodeRecordCursor(kind, cursor);
    const rows = [...(this.#rows.get(kind) ?? [])]
      .filter(([name]) => after === null || name > after)
      .sort(([one], [other]) => (one < other ? -1 : 1));
    const items = rows.slice(0, limit).map(([name, row]) => stored(name, row));
    const last = items.at(-1);
    return { items, cursor: last && rows.length > limit ? encodeRecordCursor(kind, last.name) : null };
  }
}

function stored(name: string, row: Row): StoredRecord {
  return { name, doc: JSON.parse(row.json) as RecordDoc, version: String(row.version) };
}
