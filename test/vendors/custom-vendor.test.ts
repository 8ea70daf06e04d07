/**
 * Goal: a vendor that no code knows gets the same guarantees through the same door.
 * Method: load examples/custom-vendor/connector.json with the built-in ones; price, pin, encode, judge and look up.
 * Limit: Lob itself is not asked; its answers are written after its documentation.
 */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { answer, factsOf, input, lookUp, refusal } from "./support.ts";

const connectors: unknown = JSON.parse(readFileSync("examples/custom-vendor/connector.json", "utf8"));
const lob = loadVendors({ connectors, now: () => 0 }).get("lob")!;
const operation = lob.find("POST", ["v1", "postcards"]);
const mail = { to: { name: "A", address_line1: "1 St", address_zip: "94107" }, front: "<b>hi</b>", back: "x" };
const parse = (body: unknown) => lob.parse(operation, input(JSON.stringify(body), "application/json"));
const tags = { callId: "call1", vendorKey: "call1-1" };

test("a postcard without a size is priced as the smallest and sent with that size pinned", () => {
  const request = parse(mail);
  const quote = lob.quote(operation, request, undefined, null);
  expect(quote.micros).toBe(1_100_000);
  const message = lob.encode(operation, request, quote, tags);
  expect(JSON.parse(message.body!.toString())).toEqual({
    ...mail,
    size: "4x6",
    metadata: { keybrake_call: "call1-1" },
  });
  expect(message.headers["idempotency-key"]).toBe("call1-1");
});

test("a size that the table does not list is refused, never free", () => {
  expect(refusal(() => lob.quote(operation, parse({ ...mail, size: "9x99" }), undefined, null))).toBe(
    "endpoint_unpriced",
  );
});

test("an address abroad, a saved address and a field that nobody priced are refused", () => {
  expect(refusal(() => parse({ ...mail, to: { ...mail.to, address_country: "DE" } }))).toBe("endpoint_unpriced");
  expect(refusal(() => parse({ ...mail, to: "adr_123" }))).toBe("endpoint_unpriced");
  expect(refusal(() => parse({ ...mail, addons: [1] }))).toBe("parameter_not_allowed");
});

test("the real key goes out as the basic user", () => {
  const message = lob.authorise({ method: "POST", target: "/v1/postcards", headers: {}, body: null }, "live_1");
  expect(Buffer.from(message.headers.authorization!.slice(6), "base64").toString()).toBe("live_1:");
});

test("a 200 settles at the price of the size that was printed, a 422 releases, a 500 is unknown", () => {
  const request = parse({ ...mail, size: "6x9" });
  const quote = lob.quote(operation, request, undefined, null);
  const judge = (status: number, json: unknown) =>
    lob.judge(operation, request, quote, undefined, answer(status, json));
  expect(judge(200, { id: "psc_1", size: "6x9" })).toMatchObject({
    kind: "settle",
    micros: 1_400_000,
    objectId: "psc_1",
  });
  expect(judge(200, "not what was expected")).toMatchObject({ kind: "settle", micros: 1_400_000, objectId: null });
  expect(judge(422, { error: {} })).toEqual({ kind: "release" });
  expect(judge(500, {})).toEqual({ kind: "unknown" });
});

test("after a timeout the postcard is found by our key, and an empty list proves that there is none", () => {
  const facts = factsOf({ callId: "call1", vendorKey: "call1-2", body: mail, quoteMicros: 1_100_000 });
  const plan = () => lob.reconcile("POST /v1/postcards", "/v1/postcards", facts)!;
  expect(plan().target).toBe("/v1/postcards?metadata[keybrake_call]=call1-2&limit=100");
  const item = { id: "psc_7", size: "4x6", metadata: { keybrake_call: "call1-2" } };
  expect(lookUp(plan(), [{ data: [item], next_url: null }])).toMatchObject({
    kind: "found",
    verdict: { objectId: "psc_7", micros: 1_100_000 },
  });
  expect(lookUp(plan(), [{ data: [], next_url: null }])).toEqual({ kind: "absent" });
  expect(lookUp(plan(), [{ data: [], next_url: "https://api.lob.com/v1/postcards?after=x" }])).toEqual({
    kind: "unsure",
  });
});

test("a refusal has Lob's own shape", () => {
  const body: unknown = JSON.parse(lob.errorBody(new Refusal("cap_exhausted", "no more")).body);
  expect(body).toEqual({
    code: "cap_exhausted",
    error: { message: "cap_exhausted: no more", status_code: 429, code: "cap_exhausted" },
  });
});
