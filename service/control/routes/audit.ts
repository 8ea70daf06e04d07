import { z } from "zod";
import { allPages, DEFAULT_PAGE, filterFields, pageFields, STREAM_PAGE } from "../../audit/audit-filter.ts";
import { AuditRows } from "../../audit/audit-rows.ts";
import { csvLines } from "../../audit/csv.ts";
import type { Call } from "../../ledger/types.ts";
import { noBody } from "../read-input.ts";
import { renderCall } from "../render.ts";
import { route } from "../route.ts";
import { callListShape, callShape } from "../schemas.ts";
import { streamAnswer } from "../stream-answer.ts";

const columns = Object.keys(callShape.shape);

/**
 * JSON answers one page. NDJSON and CSV stream every row that matches, or `limit` rows from `cursor` on with the next cursor in
 * the header `x-keybrake-next-cursor`.
 */
export const audit = route({
  operationId: "listCalls",
  method: "get",
  path: "/audit",
  summary: "Calls, newest first; JSON, NDJSON or CSV by Accept. A stream without `limit` goes to the end.",
  may: "read",
  query: z.strictObject({ ...filterFields, ...pageFields }),
  body: noBody,
  answers: {
    200: {
      description: "One page of calls, or a stream of all.",
      schema: callListShape,
      also: { "application/x-ndjson": callShape, "text/csv": null },
    },
  },
  codes: [],
  async handle({ principal, query, accept }, { store, gate, clock, retentionMs }) {
    const { limit, cursor, ...filter } = query;
    const rows = new AuditRows(store, {
      filter,
      owner: principal.sees,
      retention: { retentionMs, now: clock.now() },
    });
    const read = (count: number, from: string | null) => rows.page(count, from);
    if (accept === "application/json") {
      const page = await read(limit ?? DEFAULT_PAGE, cursor ?? null);
      return { status: 200, json: { calls: page.items.map(renderCall), next_cursor: page.cursor } };
    }
    return {
      stream: (response) =>
        gate.run(async () => {
          // Read before the head is written, so that a store that fails is answered as a refusal.
          const first = await read(limit ?? STREAM_PAGE, cursor ?? null);
          const next = limit === undefined ? null : first.cursor;
          const pages = allPages(limit === undefined ? first : { ...first, cursor: null }, (from) =>
            read(STREAM_PAGE, from),
          );
          await streamAnswer(
            response,
            {
              "content-type": accept === "text/csv" ? "text/csv; charset=utf-8; header=present" : accept,
              ...(next !== null && { "x-keybrake-next-cursor": next }),
            },
            accept === "text/csv" ? csv(pages) : ndjson(pages),
          );
        }),
    };
  },
});

async function* ndjson(pages: AsyncIterable<Call[]>): AsyncGenerator<string> {
  for await (const calls of pages) yield calls.map((call) => `${JSON.stringify(renderCall(call))}\n`).join("");
}

async function* csv(pages: AsyncIterable<Call[]>): AsyncGenerator<string> {
  let header = true;
  for await (const calls of pages) {
    yield csvLines(calls.map(renderCall), columns, header);
    header = false;
  }
}
