/** Path templates: `/v1/payment_intents/{id}/capture`, `/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json`. */
import { Refusal } from "../errors.ts";

/** Ids and literals of every vendor so far; no percent sign, so that nothing can be decoded twice. */
const SEGMENT = /^[A-Za-z0-9_.@+-]{1,200}$/;

export function checkSegment(segment: string): boolean {
  return segment !== "." && segment !== ".." && SEGMENT.test(segment);
}

export interface TemplateSegment {
  /** Text of a literal segment; `null` when it varies. */
  literal: string | null;
  name: string;
  /** What follows the parameter: `.json`. */
  suffix: string;
  pattern: RegExp | null;
}

/** Parses `/a/{b}.json`. Throws an `Error` for a segment that is neither literal nor `{name}` with an optional suffix. */
export function parseTemplate(path: string, patterns: Record<string, string> = {}): TemplateSegment[] {
  return path
    .slice(1)
    .split("/")
    .map((part) => {
      const match = /^\{([A-Za-z0-9_]*)\}(\.[A-Za-z0-9]+)?$/.exec(part);
      if (!match) {
        if (!checkSegment(part)) throw new Error(`\`${path}\`: \`${part}\` is not a path segment`);
        return { literal: part, name: "", suffix: "", pattern: null };
      }
      const name = match[1] ?? "";
      const pattern = Object.hasOwn(patterns, name) ? new RegExp(`^(?:${patterns[name]})$`) : null;
      return { literal: null, name, suffix: match[2] ?? "", pattern };
    });
}

/** @returns the parameters, or `null` when the path is another one. */
export function matchTemplate(
  template: readonly TemplateSegment[],
  segments: readonly string[],
): Record<string, string> | null {
  if (template.length !== segments.length) return null;
  let params: Record<string, string> | null = null;
  for (let index = 0; index < template.length; index += 1) {
    const part = template[index]!;
    const segment = segments[index]!;
    if (part.literal !== null) {
      if (part.literal !== segment) return null;
      continue;
    }
    const value = parameterOf(part, segment);
    if (value === null) return null;
    params ??= {};
    params[part.name] = value;
  }
  return params ?? {};
}

function parameterOf(part: TemplateSegment, segment: string): string | null {
  if (!segment.endsWith(part.suffix)) return null;
  const value = segment.slice(0, segment.length - part.suffix.length);
  if (value === "" || (part.pattern && !part.pattern.test(value))) return null;
  return value;
}

/** A pattern of the never-list: `* /v1/apps/secrets/*`; a trailing `*` also stands for nothing. */
export interface NeverPattern {
  method: string;
  segments: TemplateSegment[];
  rest: boolean;
}

export function parseNever(entry: string): NeverPattern {
  const [method = "", path = ""] = entry.split(" ");
  const rest = path.endsWith("/*");
  // Case is folded: a vendor that ignores it must not offer a way around the list.
  const segments = parseTemplate(rest ? path.slice(0, -2) : path).map((part) => ({
    ...part,
    literal: part.literal?.toLowerCase() ?? null,
    suffix: part.suffix.toLowerCase(),
  }));
  return { method, segments, rest };
}

/** `segments` in lower case. */
export function matchesNever(pattern: NeverPattern, method: string, segments: readonly string[]): boolean {
  if (pattern.method !== "*" && pattern.method !== method) return false;
  if (segments.length < pattern.segments.length) return false;
  if (!pattern.rest && segments.length !== pattern.segments.length) return false;
  return pattern.segments.every((part, index) => {
    const segment = segments[index]!;
    return part.literal === null ? parameterOf(part, segment) !== null : part.literal === segment;
  });
}

/** Fills `{name}`: path segments as they are, query values percent-encoded. Throws `request_invalid` for what does not fit. */
export function fillTarget(target: string, value: (name: string) => string | null): string {
  const query = target.indexOf("?");
  return target.replace(/\{([A-Za-z0-9_]+)\}/g, (_, name: string, at: number) => {
    const text = value(name);
    if (text === null || text === "") throw new Refusal("request_invalid", `the field \`${name}\` is missing`);
    if (query >= 0 && at > query) return encodeURIComponent(text);
    if (!checkSegment(text)) throw new Refusal("request_invalid", `the field \`${name}\` is not an id`);
    return text;
  });
}
