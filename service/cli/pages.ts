/** Follows a list's cursor, page by page, so that a list of any length stays small in memory. */
import { CommandFailure } from "./failure.ts";
import { type Fields, isFields, type ProxyClient, type Query } from "./proxy-client.ts";

export interface RowPage {
  rows: Fields[];
  /** Where the list goes on, `null` at its end. */
  cursor: string | null;
}

/** Rows asked for at once. */
const PAGE_ROWS = 500;

/** Yields at most `limit` rows in all (`Infinity`: every row), at least one page. */
export async function* eachPage(
  client: ProxyClient,
  path: string,
  list: string,
  query: Query,
  limit: number,
): AsyncGenerator<RowPage> {
  let left = limit;
  let cursor = query.cursor === undefined ? null : String(query.cursor);
  do {
    const asked: number = Math.min(PAGE_ROWS, left);
    const answer = await client.get(path, { ...query, limit: asked, cursor: cursor ?? undefined });
    const rows = answer[list];
    const next = answer.next_cursor;
    if (!Array.isArray(rows) || !rows.every(isFields) || (next !== null && typeof next !== "string"))
      throw new CommandFailure(
        `the answer of ${path} has no \`${list}\` and \`next_cursor\`: is the proxy of another version?`,
      );
    if (next !== null && (next === cursor || rows.length === 0))
      throw new CommandFailure(`the list of ${path} does not advance: is the proxy of another version?`);
    left -= rows.length;
    cursor = next;
    yield { rows, cursor };
  } while (cursor !== null && left > 0);
}
