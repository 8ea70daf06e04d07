/**
 * Cursors and bounds of the listings, the same in every store that numbers its rows. A cursor names the last row that
 * was given out by its number; numbers only grow, so rows added later never move what is still to come.
 */
import { BadCursor } from "./store.ts";

/** Which listing a cursor belongs to. */
export type Listing = "keys" | "calls" | "open";

/** Rows that one listing may be asked for. */
export const MAX_LIMIT = 10_000;

export function encodeCursor(listing: Listing, row: number): string {
  return Buffer.from(`${listing}:${row}`).toString("base64url");
}

/** @returns the row's number, or `null` for a `null` cursor. Throws {@link BadCursor}. */
export function decodeCursor(listing: Listing, cursor: string | null): number | null {
  if (cursor === null) return null;
  const text = cursor.length <= 64 ? Buffer.from(cursor, "base64url").toString("latin1") : "";
  const match = /^([a-z]+):(\d{1,15})$/.exec(text);
  if (match?.[1] !== listing || encodeCursor(listing, Number(match[2])) !== cursor) {
    throw new BadCursor(
      "The cursor is not one that this listing gave out: pass `next_cursor` of the last page as it is.",
    );
  }
  return Number(match[2]);
}

/** Our own bug when it throws: the control plane bounds what clients may ask for. */
export function checkLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_LIMIT) {
    throw new RangeError(`The limit of a listing must be a whole number from 1 to ${MAX_LIMIT}; it is ${limit}.`);
  }
}
