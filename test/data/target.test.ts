/**
 * Goal: a request target is read in exactly one way: what is accepted is, put together again, what was sent.
 * Method: random texts made of the characters and pieces that parsers disagree about.
 * Limit: what the vendors' own servers make of an accepted path is theirs; no character is accepted that URLs give a meaning.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseTarget } from "../../service/data/target.ts";
import { Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";

const vendors = loadVendors({ now: Date.now });
const pieces = [
  "/",
  "//",
  ".",
  "..",
  "%2e",
  "%2f",
  "%5c",
  "\\",
  ";",
  "?",
  "#",
  "&",
  "=",
  "@",
  "+",
  "-",
  "_",
  ":",
  "*",
  " ",
  "\t",
  "\r\n",
  "\0",
  "é",
  "stripe",
  "Stripe",
  "v1",
  "charges",
  "http://x",
  "a",
  "1",
  "~",
  "!",
  "$",
  "(",
  ",",
  "'",
  "|",
  "[",
  "{",
  "^",
  "`",
  '"',
  "<",
];

function parse(url: string) {
  try {
    return parseTarget(url, vendors, 512);
  } catch (error) {
    if (error instanceof Refusal && error.code === "request_invalid") return null;
    throw error;
  }
}

test("what is accepted is, put together again, what was sent", () => {
  let accepted = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), fc.boolean(), (parts, rooted) => {
      const url = `${rooted ? "/" : ""}${parts.join("")}`;
      const target = parse(url);
      if (!target) return;
      accepted += 1;
      const mount = target.mounted ? `/${target.mounted.id}` : "";
      const query = url.includes("?") ? `?${target.query}` : "";
      const tail = `/${target.segments.join("/")}${query}`;
      expect([`${mount}${tail}`, `${mount}/${tail}`]).toContain(url);
      expect(
        target.segments.every((segment) => /^[\w.@+-]+$/.test(segment) && segment !== "." && segment !== ".."),
      ).toBe(true);
      // An independent reader, which normalises, finds nothing to change.
      expect(new URL(`http://h/${target.segments.join("/")}`).pathname).toBe(`/${target.segments.join("/")}`);
    }),
    { numRuns: 3000 },
  );
  expect(accepted).toBeGreaterThan(20);
});

test("the mount is a whole first segment in exactly its own case", () => {
  expect(parse("/stripe/v1/charges")?.mounted?.id).toBe("stripe");
  expect(parse("/stripe//v1/charges")?.segments).toEqual(["v1", "charges"]);
  for (const bare of ["/Stripe/v1", "/stripes/v1", "/v1/stripe"]) expect(parse(bare)?.mounted).toBeNull();
});

test("512 bytes are taken, 513 are not", () => {
  expect(parse(`/stripe/${"a".repeat(504)}`)).not.toBeNull();
  expect(parse(`/stripe/${"a".repeat(505)}`)).toBeNull();
  expect(parse(`/stripe/a?${"b".repeat(502)}`)).not.toBeNull();
  expect(parse(`/stripe/a?${"b".repeat(503)}`)).toBeNull();
});
