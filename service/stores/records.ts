/** Names, cursors and bounds of the small records, the same in every store. */
import { BadCursor, type RecordKind, type RecordWrite } from "./store.ts";

/** A commit's records: a transaction of any store takes so many with ease. */
const MAX_RECORDS = 16;

const nameShape = /^[A-Za-z0-9._:@-]{1,250}$/;

/** A record can have this name. */
export function isRecordName(text: string): boolean {
  return nameShape.test(text);
}

/** Our own bug when it throws: whoever names a record checks what the name is made of. */
export function checkRecordName(name: string): void {
  if (!isRecordName(name)) {
    throw new RangeError(`A record's name has 1 to 250 of A-Z a-z 0-9 . _ : @ -; it is \`${name.slice(0, 80)}\`.`);
  }
}

/** Throws for too many records in one commit, for one that is named twice, and for a name that is none. */
export function checkRecords(records: readonly RecordWrite[]): void {
  if (records.length > MAX_RECORDS) throw new RangeError(`One commit takes at most ${MAX_RECORDS} records.`);
  const seen = new Set<string>();
  for (const { kind, name } of records) {
    checkRecordName(name);
    if (seen.has(`${kind}/${name}`)) throw new RangeError(`A commit writes the record ${kind} \`${name}\` twice.`);
    seen.add(`${kind}/${name}`);
  }
}

/** Goes on after this name: names are listed in ascending order, so that records added later move nothing. */
export function encodeRecordCursor(kind: RecordKind, name: string): string {
  return Buffer.from(`${kind}/${name}`).toString("base64url");
}

/** @returns the last name that was given out, or `null` for a `null` cursor. Throws {@link BadCursor}. */
export function decodeRecordCursor(kind: RecordKind, cursor: string | null): string | null {
  if (cursor === null) return null;
  const text = cursor.length <= 400 ? Buffer.from(cursor, "base64url").toString("latin1") : "";
  const name = text.startsWith(`${kind}/`) ? text.slice(kind.length + 1) : "";
  if (!nameShape.test(name) || encodeRecordCursor(kind, name) !== cursor) {
    throw new BadCursor(
      "The cursor is not one that this listing gave out: pass `next_cursor` of the last page as it is.",
    );
  }
  return name;
}
