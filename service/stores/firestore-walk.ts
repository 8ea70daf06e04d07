/** Listings of rows: sources merged into one order, what the query did not choose by filtered here, pages with cursors. */

import { checkLimit, type Listing } from "./cursor.ts";
import type { FirestoreConnection, FoundDoc } from "./firestore-client.ts";
import { type Choice, newestFirst, openCalls, type Position, type Query } from "./firestore-queries.ts";
import { textOf, wholeOf } from "./firestore-values.ts";
import { BadCursor, type Page } from "./store.ts";

/** Rows of one request: where more are read than are given out, and at most. */
const MIN_FILTERED_STEP = 50;
const MAX_STEP = 300;
/** Rows that one page may cost: beyond it the page ends early, with its cursor. */
const MAX_READ = 3_000;

interface Row extends Position {
  doc: string;
}

export interface Walk<T> extends Choice {
  listing: Listing;
  matches: (item: T) => boolean;
  limit: number;
  cursor: string | null;
}

export async function walkNewestFirst<T>(connection: FirestoreConnection, walk: Walk<T>): Promise<Page<T>> {
  checkLimit(walk.limit);
  let after = decodePosition(walk.listing, walk.cursor);
  const items: T[] = [];
  for (let read = 0; read < MAX_READ; ) {
    const wanted = walk.limit - items.length + 1;
    const step = Math.min(MAX_STEP, walk.filtered ? Math.max(MIN_FILTERED_STEP, 2 * wanted) : wanted);
    const parts = await Promise.all(
      walk.sources.map((source) => ask(connection, newestFirst(connection.root, source, after, step))),
    );
    read += parts.reduce((sum, { length }) => sum + length, 0);
    const { rows, ended } = merge(parts, step);
    for (const [index, row] of rows.entries()) {
      const item = JSON.parse(row.doc) as T;
      after = row;
      if (!walk.matches(item)) continue;
      items.push(item);
      if (items.length < walk.limit) continue;
      const more = index + 1 < rows.length || !ended;
      return { items, cursor: more ? encodePosition(walk.listing, row) : null };
    }
    if (ended) return { items, cursor: null };
  }
  return { items, cursor: after === null ? null : encodePosition(walk.listing, after) };
}

/** Rows come as they are in each source; of a source that has more, none may be passed that is older than its last one. */
function merge(parts: Row[][], step: number): { rows: Row[]; ended: boolean } {
  const rows = parts.flat().sort(byAge);
  const lasts = parts.filter((part) => part.length === step).map((part) => part.at(-1)!);
  const horizon = lasts.sort(byAge)[0];
  return horizon ? { rows: rows.filter((row) => byAge(row, horizon) <= 0), ended: false } : { rows, ended: true };
}

/** Newest first; ids are ASCII, in the order of Firestore's names. */
function byAge(one: Position, other: Position): number {
  if (one.order !== other.order) return other.order - one.order;
  return one.id === other.id ? 0 : one.id > other.id ? -1 : 1;
}

/** Open calls, oldest first: they need no filter. */
export async function walkOpenCalls<T>(
  connection: FirestoreConnection,
  limit: number,
  cursor: string | null,
): Promise<Page<T>> {
  checkLimit(limit);
  let after = decodePosition("open", cursor);
  const items: T[] = [];
  while (items.length < limit) {
    const step = Math.min(MAX_STEP, limit - items.length);
    const rows = await ask(connection, openCalls(connection.root, after, step));
    for (const row of rows) items.push(JSON.parse(row.doc) as T);
    after = rows.at(-1) ?? after;
    if (rows.length < step) return { items, cursor: null };
  }
  return { items, cursor: after && encodePosition("open", after) };
}

async function ask(connection: FirestoreConnection, { parent, query }: Query): Promise<Row[]> {
  return (await connection.query(parent, query)).map(rowOf);
}

function rowOf({ path, fields }: FoundDoc): Row {
  return {
    id: path.slice(path.lastIndexOf("/") + 1),
    order: wholeOf(fields, "order"),
    doc: textOf(fields, "doc") ?? "",
  };
}

function encodePosition(listing: Listing, { order, id }: Position): string {
  return Buffer.from(`${listing}:${order}:${id}`).toString("base64url");
}

/** @returns `null` for a `null` cursor. Throws {@link BadCursor}. */
function decodePosition(listing: Listing, cursor: string | null): Position | null {
  if (cursor === null) return null;
  const text = cursor.length <= 400 ? Buffer.from(cursor, "base64url").toString("latin1") : "";
  const match = /^([a-z]+):(\d{1,16}):([A-Za-z0-9._:@~-]{1,250})$/.exec(text);
  const position = { order: Number(match?.[2]), id: match?.[3] ?? "" };
  if (match?.[1] !== listing || encodePosition(listing, position) !== cursor) {
    throw new BadCursor(
      "The cursor is not one that this listing gave out: pass `next_cursor` of the last page as it is.",
    );
  }
  return position;
}
