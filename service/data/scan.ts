/**
 * Looks for the real secret in a vendor's answer before a byte of it leaves: as it is, in base64 at any alignment, URL-escaped
 * (also twice), JSON-escaped (`\/`, `\u00xx`), mixtures of these, and across the borders of chunks. An answer with a hit is
 * withheld whole; a stream is cut before the first byte of the secret.
 */
import type { Vendor } from "../vendors/vendor.ts";

/** Layers of escaping that are taken off. */
const MAX_LAYERS = 4;
/** How much longer an escaped secret may be than the secret, and still be seen across chunks. */
const MAX_GROWTH = 12;
const MAX_SCANNERS = 64;

const PERCENT = 0x25;
const BACKSLASH = 0x5c;

export class SecretScanner {
  readonly #needles: Buffer[];
  /** The longest text, in bytes, that the secret is still recognised in. */
  readonly reach: number;

  constructor(secrets: readonly string[]) {
    const needles = new Set<string>();
    let longest = 0;
    for (const secret of secrets) {
      const bytes = Buffer.from(secret);
      if (bytes.length === 0) continue;
      longest = Math.max(longest, bytes.length);
      needles.add(bytes.toString("latin1"));
      for (const text of base64Forms(bytes)) needles.add(text);
    }
    this.#needles = [...needles].map((needle) => Buffer.from(needle, "latin1"));
    this.reach = Math.max(1, longest * MAX_GROWTH);
  }

  hits(bytes: Buffer): boolean {
    let text: Buffer | null = bytes;
    for (let layer = 0; text && layer <= MAX_LAYERS; layer += 1) {
      for (const needle of this.#needles) if (text.includes(needle)) return true;
      text = unescapeOnce(text);
    }
    return false;
  }
}

/** The characters of the base64 text that do not depend on what stands before and behind the secret. */
function base64Forms(secret: Buffer): string[] {
  const forms: string[] = [];
  for (let before = 0; before < 3; before += 1) {
    const all = Buffer.concat([Buffer.alloc(before), secret]);
    const text = all.toString("base64").slice(Math.ceil((before * 8) / 6), Math.floor((all.length * 8) / 6));
    if (text.length < 4) continue;
    forms.push(text, text.replaceAll("+", "-").replaceAll("/", "_"));
  }
  return forms;
}

/** @returns `null` when there is nothing to take off. */
function unescapeOnce(from: Buffer): Buffer | null {
  if (!from.includes(PERCENT) && !from.includes(BACKSLASH)) return null;
  const to = Buffer.allocUnsafe(from.length);
  let length = 0;
  let changed = false;
  for (let i = 0; i < from.length; i += 1) {
    const byte = from[i]!;
    if (byte === PERCENT) {
      const value = hex(from, i + 1, 2);
      if (value >= 0) {
        to[length++] = value;
        i += 2;
        changed = true;
        continue;
      }
    } else if (byte === BACKSLASH) {
      const next = from[i + 1];
      const value = next === 0x75 ? hex(from, i + 2, 4) : -1;
      if (value >= 0 && value < 0x100) {
        if (value >= 0x80) to[length++] = 0xc0 | (value >> 6);
        to[length++] = value < 0x80 ? value : 0x80 | (value & 0x3f);
        i += 5;
        changed = true;
        continue;
      }
      if (next === 0x2f || next === BACKSLASH || next === 0x22) {
        to[length++] = next;
        i += 1;
        changed = true;
        continue;
      }
    }
    to[length++] = byte;
  }
  return changed ? to.subarray(0, length) : null;
}

function hex(bytes: Buffer, at: number, digits: number): number {
  let value = 0;
  for (let i = at; i < at + digits; i += 1) {
    const byte = bytes[i] ?? 0;
    const letter = byte | 0x20;
    if (byte >= 0x30 && byte <= 0x39) value = value * 16 + byte - 0x30;
    else if (letter >= 0x61 && letter <= 0x66) value = value * 16 + letter - 0x57;
    else return -1;
  }
  return value;
}

/** Scans a flow: what `push` and `end` answer may leave. `null`: the secret is there; nothing more may leave. */
export class StreamScan {
  readonly #scanners: readonly SecretScanner[];
  readonly #hold: number;
  #tail: Buffer = Buffer.alloc(0);

  constructor(scanners: readonly SecretScanner[]) {
    this.#scanners = scanners;
    this.#hold = Math.max(0, ...scanners.map((scanner) => scanner.reach)) - 1;
  }

  push(chunk: Buffer): Buffer | null {
    const window = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk]);
    if (hitsAny(this.#scanners, window)) return null;
    const free = Math.max(0, window.length - this.#hold);
    this.#tail = window.subarray(free);
    return window.subarray(0, free);
  }

  end(): Buffer {
    return this.#tail;
  }
}

export function hitsAny(scanners: readonly SecretScanner[], bytes: Buffer): boolean {
  for (const scanner of scanners) if (scanner.hits(bytes)) return true;
  return false;
}

/** Scanners by secret: making one costs more than using it. */
export class Scanners {
  readonly #known = new Map<string, SecretScanner>();

  for(vendor: Vendor, secret: string): SecretScanner {
    const known = this.#known.get(secret);
    if (known) return known;
    const scanner = new SecretScanner(secretParts(vendor, secret));
    if (this.#known.size >= MAX_SCANNERS) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(secret, scanner);
    return scanner;
  }
}

/** Of `user:password` the password alone is secret as well; the user is when no vendor says that it is an account's public id. */
function secretParts(vendor: Vendor, secret: string): string[] {
  const colon = secret.indexOf(":");
  if (colon < 0) return [secret];
  const user = secret.slice(0, colon);
  const password = secret.slice(colon + 1);
  const hidden = user === vendor.accountOf(secret) ? [] : [user];
  return [secret, password, ...hidden].filter((part) => part.length >= 8 || part === secret);
}
