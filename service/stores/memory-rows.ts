/** Numbered rows of the in-memory store, and how they are listed. */
import type { ChainPage, DocId } from "../ledger/types.ts";
import { checkLimit, decodeCursor, encodeCursor, type Listing } from "./cursor.ts";
import type { Page } from "./store.ts";

export interface Row {
  row: number;
  json: string;
}

export interface PageRow {
  first: number;
  last: number;
  json: string;
}

/** Throws when the page's place in the chain is taken. */
export function pageRow(page: ChainPage, lastBefore: number | null): PageRow {
  if (page.records.length === 0) throw new Error(`The chain page ${page.first} of key ${page.keyId} is empty.`);
  if (lastBefore !== null && page.first <= lastBefore) {
    throw new Error(`Chain number ${page.first} of key ${page.keyId} is taken.`);
  }
  return { first: page.first, last: page.first + page.records.length - 1, json: JSON.stringify(page) };
}

/** `rows` in the order of the listing, by rising or by falling numbers. */
export function page<T>(
  listing: Listing,
  rows: Row[],
  limit: number,
  cursor: string | null,
  matches: (item: T) => boolean,
): Page<T> {
  checkLimit(limit);
  const after = decodeCursor(listing, cursor);
  const begun = after === null ? rows : rows.filter((row) => (listing === "open" ? row.row > after : row.row < after));
  const items: T[] = [];
  for (const [index, row] of begun.entries()) {
    const item = JSON.parse(row.json) as T;
    if (matches(item)) items.push(item);
    if (items.length === limit) {
      return { items, cursor: index + 1 < begun.length ? encodeCursor(listing, row.row) : null };
    }
  }
  return { items, cursor: null };
}

/** What a deletion deletes: a call takes its receipt with it. */
export function withReceipt(id: DocId): DocId[] {
  return id.startsWith("c:") ? [id, `r:${id.slice(2)}`] : [id];
}
