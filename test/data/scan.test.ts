/**
 * Goal: however a flow that holds the secret is cut, nothing of the secret beyond chance leaves; a flow without it leaves unchanged.
 * Method: random secrets, encodings and cuts against the scanner alone.
 * Limit: encodings are those that the scanner knows, up to twelve times as long as the secret.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { SecretScanner, StreamScan } from "../../service/data/scan.ts";

const visible = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 12,
  maxLength: 80,
});
const hex = (byte: number, width: number) => byte.toString(16).padStart(width, "0");
const percent = (text: string) => [...Buffer.from(text)].map((byte) => `%${hex(byte, 2)}`).join("");
const unicode = (text: string) => [...text].map((char) => `\\u${hex(char.charCodeAt(0), 4)}`).join("");

/** Each character in another way. */
const mixed = (text: string) =>
  [...text].map((char, i) => [char, percent(char), unicode(char), percent(percent(char))][i % 4]!).join("");
const encodings: Record<string, (secret: string) => string> = {
  plain: (secret) => secret,
  json: (secret) => JSON.stringify(secret).slice(1, -1),
  "json with escaped slashes": (secret) => JSON.stringify(secret).slice(1, -1).replaceAll("/", "\\/"),
  "json twice": (secret) => JSON.stringify(JSON.stringify(secret)),
  url: encodeURIComponent,
  "url twice": (secret) => encodeURIComponent(encodeURIComponent(secret)),
  percent,
  "percent twice": (secret) => percent(percent(secret)),
  unicode,
  mixed,
  base64: (secret) => Buffer.from(secret).toString("base64"),
  "base64 behind one byte": (secret) => Buffer.from(`:${secret}:`).toString("base64"),
  "base64url behind two": (secret) => Buffer.from(`a:${secret}`).toString("base64url"),
};

const secretText = visible.filter((text) => !/[%\\]/.test(text));

function flow(secret: string, whole: Buffer, cuts: readonly number[]): { out: Buffer; caught: boolean } {
  const scan = new StreamScan([new SecretScanner([secret])]);
  const places = [...new Set([0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length])].sort((a, b) => a - b);
  const out: Buffer[] = [];
  for (let i = 1; i < places.length; i += 1) {
    const free = scan.push(whole.subarray(places[i - 1], places[i]));
    if (free === null) return { out: Buffer.concat(out), caught: true };
    out.push(Buffer.from(free));
  }
  return { out: Buffer.concat([...out, scan.end()]), caught: false };
}

test.each(Object.entries(encodings))(
  "a secret in %s is caught before its first byte leaves, wherever the flow is cut",
  (_, encode) => {
    fc.assert(
      fc.property(
        secretText,
        fc.integer({ min: 0, max: 3000 }),
        fc.integer({ min: 0, max: 200 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (secret, before, behind, cuts) => {
          const whole = Buffer.from(`${"\n".repeat(before)}${encode(secret)}${"\n".repeat(behind)}`);
          const { out, caught } = flow(secret, whole, cuts);
          expect(caught).toBe(true);
          expect(out.equals(whole.subarray(0, out.length))).toBe(true);
          expect(out.length).toBeLessThanOrEqual(before);
        },
      ),
      { numRuns: 60 },
    );
  },
);

test("a flow without the secret leaves byte for byte, wherever it is cut", () => {
  fc.assert(
    fc.property(
      secretText,
      fc.uint8Array({ maxLength: 5000 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (secret, bytes, cuts) => {
        const whole = Buffer.from(bytes);
        fc.pre(!new SecretScanner([secret]).hits(whole));
        const { out, caught } = flow(secret, whole, cuts);
        expect([caught, out.equals(whole)]).toEqual([false, true]);
      },
    ),
  );
});

test("text that only begins like the secret is no hit", () => {
  const scanner = new SecretScanner(["sk_test_abcdefghijkl"]);
  for (const text of [
    "sk_test_abcdefghijk",
    "sk_live_abcdefghijkl",
    "c2tfdGVzdF9hYmNkZWZnaGlqaw==",
    "%73k_test_abcdefghijk%6d",
  ]) {
    expect(scanner.hits(Buffer.from(text))).toBe(false);
  }
});
