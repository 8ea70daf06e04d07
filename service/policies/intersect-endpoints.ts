/**
 * What two allow-lists of one vendor both allow, as an allow-list again. An entry that lies within the other list stays as it is;
 * two that only overlap (`GET /v1/{x}` and `GET /v1/charges`) meet in the operations that both name.
 */
import { type Entry, fits, parseEntry } from "../vendors/allow-list.ts";
import { parseTemplate, type TemplateSegment } from "../vendors/paths.ts";

interface Template {
  method: string;
  path: string;
  segments: TemplateSegment[];
}

/** @param endpoints Every operation of the vendor, `METHOD /path`. */
export function intersectEntries(
  left: readonly string[],
  right: readonly string[],
  endpoints: readonly { endpoint: string }[],
): string[] {
  const found = new Set<string>();
  let templates: Template[] | null = null;
  for (const leftText of left) {
    const leftEntry = parseEntry(leftText);
    if (!leftEntry) continue;
    for (const rightText of right) {
      const rightEntry = parseEntry(rightText);
      if (!rightEntry) continue;
      if (covers(rightEntry, leftEntry)) found.add(leftText);
      else if (covers(leftEntry, rightEntry)) found.add(rightText);
      else {
        templates ??= endpoints.map(({ endpoint }) => readTemplate(endpoint));
        for (const template of templates) {
          const shared = meet(leftEntry, rightEntry, template);
          if (shared !== null) found.add(shared);
        }
      }
    }
  }
  return [...found];
}

function readTemplate(endpoint: string): Template {
  const at = endpoint.indexOf(" ");
  const path = endpoint.slice(at + 1);
  return { method: endpoint.slice(0, at), path, segments: parseTemplate(path) };
}

/** True when all that `narrow` allows is allowed by `wide`, for any vendor. */
function covers(wide: Entry, narrow: Entry): boolean {
  if (wide.method !== null && wide.method !== narrow.method) return false;
  const least = narrow.segments.length;
  const longEnough = narrow.rest ? wide.rest && least >= wide.segments.length : fits(wide, least);
  return longEnough && wide.segments.every((part, index) => same(part, narrow.segments[index]!));
}

function same(left: TemplateSegment, right: TemplateSegment): boolean {
  return left.literal === right.literal && left.suffix === right.suffix;
}

/** What both entries allow of one operation, as an entry; `null`: nothing. */
function meet(left: Entry, right: Entry, { method, path, segments }: Template): string | null {
  for (const entry of [left, right]) {
    if (entry.method !== null && entry.method !== method) return null;
    if (!fits(entry, segments.length)) return null;
  }
  const written = path.slice(1).split("/");
  const parts: string[] = [];
  for (const [index, own] of segments.entries()) {
    const asked = [left.segments[index], right.segments[index]].filter((part) => part !== undefined);
    if (!asked.every((part) => within(part, own))) return null;
    const literals = [...new Set(asked.flatMap(({ literal }) => (literal === null ? [] : [literal])))];
    if (literals.length > 1) return null;
    parts.push(literals[0] ?? written[index]!);
  }
  return `${method} /${parts.join("/")}`;
}

/** True when a segment of an entry names at least one value of the operation's segment. */
function within(part: TemplateSegment, own: TemplateSegment): boolean {
  if (part.literal === null) return own.literal === null && own.suffix === part.suffix;
  if (own.literal !== null) return own.literal === part.literal;
  return part.literal.endsWith(own.suffix) && part.literal.length > own.suffix.length;
}
