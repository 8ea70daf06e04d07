/** The audit's filters as they come in a query, and the walk through all pages. */
import { z } from "zod";
import type { Page } from "../stores/store.ts";

/** Rows of one JSON page. A page of a stream is smaller: it is one turn of the event loop, and calls wait for it. */
const MAX_PAGE = 1000;
export const DEFAULT_PAGE = 100;
export const STREAM_PAGE = 100;

const name = (max: number, pattern: RegExp, sentence: string) => z.string().max(max, sentence).regex(pattern, sentence);

export const labelText = name(
  200,
  /^[A-Za-z0-9._:/@-]{1,200}$/,
  "must be 1 to 200 of the characters A-Z a-z 0-9 . _ : / @ -",
);

/** A whole number in a query, where everything is text. */
const whole = (minimum: number, maximum: number) =>
  z
    .string()
    .refine(
      (text) => /^\d{1,9}$/.test(text) && Number(text) >= minimum && Number(text) <= maximum,
      `must be a whole number from ${minimum} to ${maximum}`,
    )
    .transform(Number)
    .meta({ type: "integer", minimum, maximum });

const timeSentence =
  "must be an ISO 8601 time with its zone, a date, or milliseconds: 2026-11-22T10:00:00Z, 2026-11-22 or 1763805600000";

/** @returns ms, or `null` when the text is not a time. A date is its first moment in UTC. */
function parseTime(text: string): number | null {
  if (/^\d{10,15}$/.test(text)) return Number(text);
  if (!/^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(text)) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? null : ms;
}

const time = z.string().transform((text, context) => {
  const ms = parseTime(text);
  if (ms !== null) return ms;
  context.addIssue({ code: "custom", message: timeSentence });
  return z.NEVER;
});

export const pageFields = {
  limit: whole(1, MAX_PAGE).optional(),
  cursor: name(512, /^[\x21-\x7e]{1,512}$/, "must be the `next_cursor` of an answer").optional(),
};

export const filterFields = {
  label: labelText.optional().meta({ description: "Calls of the keys whose label, or bound execution, is this." }),
  execution: labelText.optional().meta({ description: "Calls of the key that is bound to this execution." }),
  key_id: name(64, /^[A-Za-z0-9_-]{1,64}$/, "must be a key's id").optional(),
  task_index: whole(0, 999_999).optional(),
  vendor: name(64, /^[A-Za-z0-9_.-]{1,64}$/, "must be a vendor's id").optional(),
  state: z
    .enum(["reserved", "settled", "released", "unknown", "refused"], {
      error: "must be one of reserved, settled, released, unknown, refused",
    })
    .optional(),
  since: time.optional().meta({ description: "Created at or after; ISO 8601 with zone, a date, or milliseconds." }),
  until: time.optional().meta({ description: "Created before." }),
};

const filterSchema = z.strictObject(filterFields);
export type AuditFilter = z.output<typeof filterSchema>;

/** Every page behind `first`, with a turn of the event loop between two, so that an export never holds up the proxy's calls. */
export async function* allPages<T>(first: Page<T>, next: (cursor: string) => Promise<Page<T>>): AsyncGenerator<T[]> {
  let page = first;
  for (;;) {
    yield page.items;
    if (page.cursor === null) return;
    await new Promise(setImmediate);
    page = await next(page.cursor);
  }
}
