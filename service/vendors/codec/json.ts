/**
 * Strict JSON. `JSON.parse` hides duplicate names (the last one wins, other parsers take the first), rounds integers
 * beyond 2^53 and lets lone surrogates through: each is a way for two parsers to read two prices. RFC 8259 §4 and §6
 * leave all three open (https://www.rfc-editor.org/rfc/rfc8259), so this reader refuses them.
 */
import type { Json, JsonObject } from "../vendor.ts";
import { type CodecLimits, checkCase, checkKey, DEFAULT_LIMITS, invalid } from "./limits.ts";

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

export interface JsonOptions {
  limits?: CodecLimits;
  /** `text`: scalars become the text a form would carry (`4000.0` stays `4000.0`, null is empty). */
  scalars?: "typed" | "text";
}

export function parseJson(text: string, options: JsonOptions = {}): Json {
  return new Reader(text, options.limits ?? DEFAULT_LIMITS, options.scalars === "text").document();
}

class Reader {
  readonly #text: string;
  readonly #limits: CodecLimits;
  readonly #asText: boolean;
  #at = 0;
  #fields = 0;

  constructor(text: string, limits: CodecLimits, asText: boolean) {
    this.#text = text;
    this.#limits = limits;
    this.#asText = asText;
  }

  document(): Json {
    const value = this.#value(0);
    this.#space();
    if (this.#at < this.#text.length) throw this.#broken("text after the end of the JSON value");
    return value;
  }

  #value(depth: number): Json {
    this.#space();
    const char = this.#text[this.#at];
    if (char === "{") return this.#object(depth);
    if (char === "[") return this.#list(depth);
    if (char === '"') return this.#string();
    if (this.#word("true")) return this.#asText ? "true" : true;
    if (this.#word("false")) return this.#asText ? "false" : false;
    if (this.#word("null")) return this.#asText ? "" : null;
    return this.#number();
  }

  #object(depth: number): JsonObject {
    this.#deeper(depth);
    const object: JsonObject = {};
    const keys: string[] = [];
    this.#at += 1;
    this.#space();
    if (this.#take("}")) return object;
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') throw this.#broken("a field name in double quotes was expected");
      const key = this.#string();
      checkKey(key);
      if (Object.hasOwn(object, key)) throw invalid(`the field \`${key}\` is there twice`);
      this.#space();
      if (!this.#take(":")) throw this.#broken("`:` was expected");
      this.#count();
      keys.push(key);
      object[key] = this.#value(depth + 1);
      this.#space();
      if (this.#take(",")) continue;
      if (!this.#take("}")) throw this.#broken("`,` or `}` was expected");
      checkCase(keys);
      return object;
    }
  }

  #list(depth: number): Json[] {
    this.#deeper(depth);
    const list: Json[] = [];
    this.#at += 1;
    this.#space();
    if (this.#take("]")) return list;
    for (;;) {
      this.#count();
      list.push(this.#value(depth + 1));
      this.#space();
      if (this.#take(",")) continue;
      if (!this.#take("]")) throw this.#broken("`,` or `]` was expected");
      return list;
    }
  }

  #string(): string {
    const start = this.#at + 1;
    let out = "";
    let from = start;
    for (let at = start; ; at += 1) {
      const code = this.#text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        const value = from === start ? this.#text.slice(start, at) : out + this.#text.slice(from, at);
        if (!value.isWellFormed()) throw invalid("a text has a lone surrogate");
        return value;
      }
      if (Number.isNaN(code)) throw this.#broken("a text without its closing quote");
      if (code < 0x20) throw this.#broken("a control character inside a text");
      if (code !== 0x5c) continue;
      out += this.#text.slice(from, at);
      const [char, length] = this.#escape(at + 1);
      out += char;
      at += length;
      from = at + 1;
    }
  }

  #escape(at: number): [string, number] {
    const char = this.#text[at] ?? "";
    if (char === "u") {
      const hex = this.#text.slice(at + 1, at + 5);
      if (!/^[0-9a-fA-F]{4}$/.test(hex)) throw this.#broken("a wrong \\u escape");
      return [String.fromCharCode(Number.parseInt(hex, 16)), 5];
    }
    const plain = ESCAPES[char];
    if (plain === undefined) throw this.#broken("a wrong escape");
    return [plain, 1];
  }

  #number(): Json {
    NUMBER.lastIndex = this.#at;
    const lexeme = NUMBER.exec(this.#text)?.[0];
    if (!lexeme) throw this.#broken("a value was expected");
    this.#at += lexeme.length;
    if (this.#asText) return lexeme;
    const value = Number(lexeme);
    if (!Number.isFinite(value) || decimal(lexeme) !== decimal(String(value))) {
      throw invalid(`the number ${lexeme.slice(0, 40)} cannot be kept exactly; send it as text`);
    }
    return value === 0 ? 0 : value;
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  #deeper(depth: number): void {
    if (depth > this.#limits.depth) throw invalid(`the body is nested more than ${this.#limits.depth} levels deep`);
  }

  #count(): void {
    this.#fields += 1;
    if (this.#fields > this.#limits.fields) throw invalid(`the body has more than ${this.#limits.fields} fields`);
  }

  #broken(what: string) {
    return invalid(`the body is not JSON: ${what} at character ${this.#at}`);
  }
}

/** The decimal value of a number's text in one spelling: significant digits and exponent. */
function decimal(lexeme: string): string {
  const [, digits, fraction = "", exponent = "0"] = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(lexeme) ?? [];
  const all = `${digits}${fraction}`.replace(/^0+/, "");
  const significant = all.replace(/0+$/, "");
  if (significant === "") return "0";
  return `${significant}e${Number(exponent) - fraction.length + (all.length - significant.length)}`;
}
