/** Bounds and key rules that every codec shares: what two parsers could read in two ways is refused here. */
import { isUtf8 } from "node:buffer";
import { Refusal } from "../../errors.ts";
import type { Json, JsonObject } from "../vendor.ts";

export interface CodecLimits {
  /** Levels of lists and maps below the body itself. */
  depth: number;
  /** Names and list elements in the whole message. */
  fields: number;
}

export const DEFAULT_LIMITS: CodecLimits = { depth: 8, fields: 512 };

/** Names that are no data to some parsers; `_method` makes another request of this one in many web frameworks. */
const FORBIDDEN_KEYS = new Set(["__proto__", "constructor", "prototype", "_method"]);
// C0, DEL, C1 and the two line separators.
const CONTROL = /[\p{Cc}\u2028\u2029]/u;
const PLAIN_KEY = /^[A-Za-z0-9_.$-]{1,128}$/;

export function invalid(sentence: string): Refusal {
  return new Refusal("request_invalid", sentence);
}

/** Text of a body that is UTF-8 throughout (overlong forms and surrogates are not). */
export function strictText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw invalid("the body is not UTF-8");
  const text = bytes.toString("utf8");
  if (text.charCodeAt(0) === 0xfeff) throw invalid("the body begins with a byte order mark; leave it out");
  return text;
}

/** Refuses names that some parser would trim, split, fold or treat as an object's prototype. */
export function checkKey(key: string): void {
  if (FORBIDDEN_KEYS.has(key)) throw invalid(`the field name \`${key}\` is not taken`);
  if (PLAIN_KEY.test(key)) return;
  if (key === "") throw invalid("a field has an empty name");
  if (key.length > 128) throw invalid("a field name is longer than 128 characters");
  if (CONTROL.test(key) || key !== key.trim() || /[[\]]/.test(key)) {
    throw invalid(`the field name ${JSON.stringify(key)} has a bracket, a control character or an outer space`);
  }
  if (!key.isWellFormed()) throw invalid("a field name has a lone surrogate");
}

const LOWER_ASCII = /^[a-z0-9_.$-]*$/;

/** Refuses `amount` beside `Amount` in one map: parsers that ignore case would take either. */
export function checkCase(keys: readonly string[]): void {
  // Names are distinct already: without capitals no two can fold together.
  if (keys.length < 2 || keys.every((key) => LOWER_ASCII.test(key))) return;
  const seen = new Set<string>();
  for (const key of keys) {
    const folded = key.toLowerCase();
    if (seen.has(folded)) throw invalid(`two fields differ only in case: \`${key}\``);
    seen.add(folded);
  }
}

/** Structural equality of two parses; the order of names does not matter. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null || !a || !b) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index]));
  }
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]));
}

/** One text per value: names sorted, no spaces. */
export function canonicalJson(value: Json): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: Json): Json {
  if (value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) return value.map(sorted);
  const copy: JsonObject = {};
  for (const key of Object.keys(value).sort()) copy[key] = sorted(value[key]!);
  return copy;
}
