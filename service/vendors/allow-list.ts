/** `allowed_endpoints` of a vault key: `METHOD /path` as the connector writes it, `{…}`, a literal that narrows, `*`. */
import { parseTemplate, type TemplateSegment } from "./paths.ts";

export interface Endpoint {
  endpoint: string;
  method: string;
  template: TemplateSegment[];
}

export interface Entry {
  /** `null`: every method (only in the entry `*`). */
  method: string | null;
  segments: TemplateSegment[];
  /** The last segment is `*`: one or more segments of any kind. */
  rest: boolean;
}

const CACHE_LIMIT = 2000;
const cache = new Map<string, Entry | null>();

/** @returns `null` when the text is no entry. */
export function parseEntry(text: string): Entry | null {
  const known = cache.get(text);
  if (known !== undefined) return known;
  if (cache.size >= CACHE_LIMIT) cache.clear();
  const entry = readEntry(text);
  cache.set(text, entry);
  return entry;
}

function readEntry(text: string): Entry | null {
  if (text === "*") return { method: null, segments: [], rest: true };
  const match = /^(GET|POST|PUT|PATCH|DELETE) (\*|\/\S{1,400})$/.exec(text);
  if (!match) return null;
  const method = match[1]!;
  const path = match[2]!;
  if (path === "*" || path === "/*") return { method, segments: [], rest: true };
  const rest = path.endsWith("/*");
  try {
    return { method, segments: parseTemplate(rest ? path.slice(0, -2) : path), rest };
  } catch {
    return null;
  }
}

export function fits(entry: Entry, length: number): boolean {
  return entry.rest ? length > entry.segments.length : length === entry.segments.length;
}

/** True when the entry names at least one path of the endpoint. */
function names(entry: Entry, endpoint: Endpoint): boolean {
  if (entry.method !== null && entry.method !== endpoint.method) return false;
  if (!fits(entry, endpoint.template.length)) return false;
  return entry.segments.every((part, index) => {
    const own = endpoint.template[index]!;
    if (part.literal === null) return own.literal === null && own.suffix === part.suffix;
    if (own.literal !== null) return own.literal === part.literal;
    const value = part.literal.slice(0, part.literal.length - own.suffix.length);
    return part.literal.endsWith(own.suffix) && value !== "" && (own.pattern?.test(value) ?? true);
  });
}

/** @returns `null` when the entry names something, else one sentence with the nearest endpoints. */
export function checkEntry(text: string, endpoints: readonly Endpoint[], vendorId: string): string | null {
  const entry = parseEntry(text);
  if (entry && endpoints.some((endpoint) => names(entry, endpoint))) return null;
  const near = endpoints
    .map((endpoint) => ({ endpoint: endpoint.endpoint, far: distance(text, endpoint.endpoint) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, 3)
    .map(({ endpoint }) => `\`${endpoint}\``);
  const shown = text.slice(0, 120);
  if (!entry) return `\`${shown}\` is not an endpoint; write \`METHOD /path\` or \`*\`, for example ${near.join(", ")}`;
  return `\`${shown}\` names no operation of ${vendorId}; the nearest are ${near.join(", ")}`;
}

/** True when one of the entries allows this very path. `segments` is the operation's path as the template has it. */
export function allowsPath(entries: readonly string[], endpoint: Endpoint, segments: readonly string[]): boolean {
  return entries.some((text) => {
    const entry = parseEntry(text);
    if (!entry || (entry.method !== null && entry.method !== endpoint.method)) return false;
    if (!fits(entry, segments.length)) return false;
    return entry.segments.every((part, index) => {
      const own = endpoint.template[index]!;
      return part.literal === null
        ? own.literal === null && own.suffix === part.suffix
        : part.literal === segments[index];
    });
  });
}

/** Levenshtein distance, over at most 120 characters. */
function distance(left: string, right: string): number {
  const a = left.slice(0, 120);
  const b = right.slice(0, 120);
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + change));
    }
    row = next;
  }
  return row[b.length]!;
}
