/**
 * Goal: whatever can be read in two ways, reaches outside the key, or has no price is refused before anything is sent.
 * Method: each row is bytes on a raw socket; the answer must be a JSON error of the catalogue in the vendor's shape, the upstream must
 * have got nothing, and the proxy must serve the next call.
 * Limit: the rows are ours; they do not prove that no other ambiguous request exists.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Code, catalogue } from "../../service/errors.ts";
import type { RawAnswer } from "../support/raw-socket.ts";
import { accountSid, errorOf, get, type IssueOptions, request, startWorld, type World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world.stop());
afterEach(async () => {
  expect(world.upstream.received).toHaveLength(0);
  const { text } = await world.issue();
  expect((await world.ask(request({ key: text }))).status, "the proxy serves the next call").toBe(200);
  world.upstream.received.length = 0;
});

interface Row {
  bytes: (key: string) => string | Buffer;
  status?: number;
  code: Code;
  key?: IssueOptions;
}

function expectRefusal(answer: RawAnswer, row: Row): void {
  expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([
    row.status ?? catalogue[row.code].status,
    row.code,
  ]);
  expect(answer.headers.get("content-type")).toMatch(/^application\/json/);
  const error = errorOf(answer);
  expect(String(error.message)).toMatch(new RegExp(`^${row.code}: `));
  expect(answer.headers.get("stripe-should-retry")).toBe(catalogue[row.code].retry ? undefined : "false");
  expect(answer.headers.get("x-should-retry")).toBe(catalogue[row.code].retry ? undefined : "false");
}

function table(rows: Record<string, Row>): void {
  test.each(Object.entries(rows))("%s", async (_, row) => {
    const { text } = await world.issue(row.key);
    expectRefusal(await world.ask(row.bytes(text)), row);
  });
}

const at = (target: string) => (key: string) => request({ key, target });
const reading = (target: string) => (key: string) => get(target, key);
const posting =
  (body: string | Buffer, headers: string[] = []) =>
  (key: string) =>
    request({ key, body, headers });
const asJson = (body: string) => posting(body, ["content-type: application/json"]);
const withHeaders =
  (...headers: string[]) =>
  (key: string) =>
    request({ key, headers });
const invalid = { code: "request_invalid" } as const;

describe("a request target is refused when it has", () => {
  table({
    "a dot-dot segment": { bytes: at("/stripe/v1/customers/../payment_intents"), ...invalid },
    "a dot segment": { bytes: at("/stripe/./v1/payment_intents"), ...invalid },
    "an escaped dot": { bytes: at("/stripe/v1/%2e%2e/payment_intents"), ...invalid },
    "an escaped slash": { bytes: at("/stripe/v1%2fpayment_intents"), ...invalid },
    "an escaped backslash": { bytes: at("/stripe/v1%5cpayment_intents"), ...invalid },
    "a backslash": { bytes: at("/stripe/v1\\payment_intents"), ...invalid },
    "a semicolon": { bytes: at("/stripe/v1/payment_intents;x=1"), ...invalid },
    "any other escape": { bytes: at("/stripe/v1/payment_intent%73"), ...invalid },
    "a doubled slash inside": { bytes: at("/stripe/v1//payment_intents"), ...invalid },
    "two doubled slashes behind the mount": { bytes: at("/stripe///v1/payment_intents"), ...invalid },
    "a doubled slash in front of a bare path": { bytes: at("//v1/payment_intents"), ...invalid },
    "a slash at its end": { bytes: at("/stripe/v1/payment_intents/"), ...invalid },
    "nothing but the mount": { bytes: at("/stripe"), ...invalid },
    "nothing at all": { bytes: at("/"), ...invalid },
    "absolute form": { bytes: at("http://api.stripe.com/v1/payment_intents"), ...invalid },
    "absolute form of the control plane": { bytes: at("http://proxy/vault/keys"), ...invalid },
    "the form of OPTIONS *": { bytes: (key) => request({ method: "OPTIONS", target: "*", key, body: "" }), ...invalid },
    "a fragment": { bytes: at("/stripe/v1/payment_intents#x"), ...invalid },
    "a fragment in its query": { bytes: reading("/stripe/v1/customers?a=1#x"), ...invalid },
    "over 512 bytes": { bytes: reading(`/stripe/v1/customers/${"c".repeat(512)}`), ...invalid },
    "a vault key's text in it": { bytes: (key) => get(`/stripe/v1/customers/${key}`, key), ...invalid },
    "another case than the vendor's": { bytes: at("/stripe/V1/payment_intents"), code: "endpoint_unpriced" },
    "another case than the mount's": { bytes: at("/Stripe/v1/payment_intents"), code: "endpoint_unpriced" },
    "a query on a priced write": { bytes: at("/stripe/v1/payment_intents?amount=1"), ...invalid },
    "a byte outside ASCII": { bytes: at("/stripe/v1/caf\xe9"), ...invalid },
  });
});

describe("a request is refused when its headers have", () => {
  table({
    "two Authorizations": { bytes: (key) => request({ key, headers: [`authorization: Bearer ${key}`] }), ...invalid },
    "two idempotency keys": { bytes: withHeaders("idempotency-key: a", "Idempotency-Key: b"), ...invalid },
    "two content types": {
      bytes: withHeaders("content-type: application/json", "content-type: application/x-www-form-urlencoded"),
      ...invalid,
    },
    "a list of content types": {
      bytes: withHeaders("content-type: application/json, application/x-www-form-urlencoded"),
      code: "media_type_unsupported",
    },
    "two hosts": { bytes: withHeaders("host: other"), ...invalid },
    "an idempotency key that is no text": { bytes: withHeaders("idempotency-key: \xff"), ...invalid },
    "an idempotency key over 255 characters": { bytes: withHeaders(`idempotency-key: ${"k".repeat(256)}`), ...invalid },
    "a task without its attempt": { bytes: withHeaders("x-keybrake-task-index: 3"), ...invalid },
    "a task that is no number": {
      bytes: withHeaders("x-keybrake-task-index: 3x", "x-keybrake-task-attempt: 0"),
      ...invalid,
    },
    "another task than the vault key": {
      bytes: (key) =>
        request({ key: `${key}~4~0`, headers: ["x-keybrake-task-index: 3", "x-keybrake-task-attempt: 0"] }),
      ...invalid,
    },
    "Stripe-Account out of scope": { bytes: withHeaders("stripe-account: acct_1"), code: "parameter_not_allowed" },
    "Stripe-Context out of scope": { bytes: withHeaders("stripe-context: ctx_1"), code: "parameter_not_allowed" },
  });
});

describe("a body is refused when it is", () => {
  table({
    multipart: {
      bytes: posting("--x\r\n", ["content-type: multipart/form-data; boundary=x"]),
      code: "media_type_unsupported",
    },
    "plain text": { bytes: posting("amount=1", ["content-type: text/plain"]), code: "media_type_unsupported" },
    "in another charset": {
      bytes: posting("amount=4000&currency=usd", ["content-type: application/x-www-form-urlencoded; charset=utf-7"]),
      code: "media_type_unsupported",
    },
    compressed: { bytes: withHeaders("content-encoding: gzip"), code: "media_type_unsupported" },
    "over its bound, by its length": { bytes: posting("a".repeat(300 * 1024)), code: "body_too_large" },
    "over its bound, in chunks that go on": {
      bytes: (key) => {
        const chunk = `8000\r\n${"a".repeat(0x8000)}\r\n`;
        return `POST /stripe/v1/payment_intents HTTP/1.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n${chunk.repeat(10)}`;
      },
      code: "body_too_large",
    },
    "not UTF-8": { bytes: posting(Buffer.from([0x61, 0x3d, 0xff, 0xfe])), ...invalid },
    "a form with a field twice": { bytes: posting("amount=4000&amount=1&currency=usd"), ...invalid },
    "a form with a scalar and a map under one name": {
      bytes: posting("amount=4000&currency=usd&metadata=1&metadata[a]=2"),
      ...invalid,
    },
    "JSON with a field twice": { bytes: asJson('{"amount":4000,"amount":1,"currency":"usd"}'), ...invalid },
    "JSON with a lone surrogate": {
      bytes: asJson('{"amount":4000,"currency":"usd","description":"\\ud800"}'),
      ...invalid,
    },
    "JSON with __proto__": { bytes: asJson('{"amount":4000,"currency":"usd","__proto__":{"a":1}}'), ...invalid },
    "a form with __proto__": { bytes: posting("amount=4000&currency=usd&__proto__[a]=1"), ...invalid },
    "JSON that is no object": { bytes: asJson("[1]"), ...invalid },
    "broken JSON": { bytes: asJson('{"amount":4000'), ...invalid },
    "deeper than 8": {
      bytes: posting(`amount=4000&currency=usd&metadata${"[a]".repeat(9)}=1`),
      ...invalid,
    },
    "more than 512 fields": {
      bytes: posting(
        `amount=4000&currency=usd&${Array.from({ length: 600 }, (_, i) => `metadata[k${i}]=1`).join("&")}`,
      ),
      ...invalid,
    },
    "on a GET": {
      bytes: (key) => request({ method: "GET", key, target: "/stripe/v1/customers", body: "limit=3" }),
      ...invalid,
    },
    "an amount with a sign": { bytes: posting("amount=-4000&currency=usd"), ...invalid },
    "an amount with an exponent": { bytes: asJson('{"amount":4e3,"currency":"usd"}'), ...invalid },
    "an amount with a fraction": { bytes: posting("amount=4000.0&currency=usd"), ...invalid },
    "without an amount": { bytes: posting("currency=usd"), ...invalid },
    "without a currency": { bytes: posting("amount=4000"), ...invalid },
    "in a currency without a rate": { bytes: posting("amount=4000&currency=eur"), code: "currency_not_allowed" },
    "for another account": {
      bytes: posting("amount=4000&currency=usd&on_behalf_of=acct_1"),
      code: "parameter_not_allowed",
    },
  });
});

describe("an endpoint is refused when it", () => {
  table({
    "hands out credentials, whatever the key says": {
      bytes: at("/stripe/v1/ephemeral_keys"),
      code: "endpoint_not_allowed",
    },
    "hands out Twilio's auth token": {
      bytes: reading(`/2010-04-01/Accounts/${accountSid}.json`),
      code: "endpoint_not_allowed",
      key: { scope: { vendors: ["twilio"] } },
    },
    "is in no rule": { bytes: at("/stripe/v1/unheard_of"), code: "endpoint_unpriced" },
    "has no bounded price": {
      bytes: (key) => request({ key, target: "/stripe/v1/subscriptions", body: "customer=cus_1" }),
      code: "endpoint_unpriced",
    },
    "is not in the key's list": {
      bytes: at("/stripe/v1/payment_intents"),
      code: "endpoint_not_allowed",
      key: { scope: { allowedEndpoints: ["GET /v1/customers"] } },
    },
    "belongs to a vendor that is not the key's": { bytes: reading("/resend/domains"), code: "endpoint_not_allowed" },
    "belongs to none of the key's vendors": {
      bytes: reading("/elsewhere"),
      code: "endpoint_unpriced",
      key: { scope: { vendors: ["stripe", "resend"] } },
    },
    "is listed for another vendor of the key": {
      bytes: at("/stripe/v1/payment_intents"),
      code: "endpoint_not_allowed",
      key: { scope: { vendors: ["stripe", "resend"], allowedEndpoints: ["resend:POST /emails"] } },
    },
    "is listed without its vendor by a key of several": {
      bytes: at("/stripe/v1/payment_intents"),
      code: "endpoint_not_allowed",
      key: { scope: { vendors: ["stripe", "resend"], allowedEndpoints: ["POST /v1/payment_intents"] } },
    },
    "names another Twilio account": {
      bytes: (key) =>
        request({
          key,
          target: "/twilio/2010-04-01/Accounts/ACffffffffffffffffffffffffffffffff/Messages.json",
          body: "To=%2B15005550006&From=%2B15005550001&Body=hi",
        }),
      code: "parameter_not_allowed",
      key: { scope: { vendors: ["twilio"] } },
    },
    "is asked with a method of no rule": {
      bytes: (key) => request({ method: "TRACE", key, target: "/stripe/v1/payment_intents", body: "" }),
      code: "endpoint_unpriced",
    },
  });
});

describe("a limit of the key refuses", () => {
  table({
    "a call over the cap": { bytes: posting("amount=4000&currency=usd"), code: "cap_exhausted", key: { capMicros: 1 } },
    "a call over the limit per call": {
      bytes: posting("amount=4000&currency=usd"),
      code: "per_call_exceeded",
      key: { scope: { perCallMicros: 1_000_000 } },
    },
    "more calls than it may make": {
      bytes: posting("amount=4000&currency=usd"),
      code: "rate_exhausted",
      key: { scope: { maxCalls: 0 } },
    },
  });

  test("a call after its expiry, its pause or its revocation", async () => {
    const expired = await world.issue({ lifeMs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expectRefusal(await world.ask(request({ key: expired.text })), { bytes: String, code: "key_expired" });
    const { key, text } = await world.issue();
    await world.ledger.act(key.keyId, { act: "pause", by: "admin", reason: "test" });
    expectRefusal(await world.ask(request({ key: text })), { bytes: String, code: "key_paused" });
    await world.ledger.act(key.keyId, { act: "revoke", by: "admin", reason: "test" });
    expectRefusal(await world.ask(request({ key: text })), { bytes: String, code: "key_revoked" });
    expectRefusal(await world.ask(get("/stripe/v1/customers", text)), { bytes: String, code: "key_revoked" });
    const lookedUp = request({ key: text, target: "/stripe/v1/payment_intents/pi_7/confirm", body: "" });
    expectRefusal(await world.ask(lookedUp), { bytes: String, code: "key_revoked" });
  });
});

describe("a vault key is refused, and nothing is written, when it", () => {
  const bogus: Record<string, (key: string) => string> = {
    "is not there": () => request({}),
    "is not one of ours": () => request({ key: "sk_live_1234567890" }),
    "has another signature": (key) => request({ key: `${key.slice(0, -1)}${key.endsWith("A") ? "B" : "A"}` }),
    "names a version of the pepper that there is not": (key) => request({ key: key.replace("vk_1_", "vk_2_") }),
    "has a broken context": (key) => request({ key: `${key}~1` }),
    "has something behind it": (key) => request({ headers: [`authorization: Bearer ${key} x`] }),
    "is no base64 in Basic": (key) => request({ headers: [`authorization: Basic ${key}`] }),
  };
  test.each(Object.entries(bogus))("%s", async (_, bytes) => {
    const before = (await world.calls()).length;
    const { text } = await world.issue();
    expectRefusal(await world.ask(bytes(text)), { bytes, code: "key_invalid" });
    expect(await world.calls()).toHaveLength(before);
  });
});

test("two vault keys in one Basic credential are none", async () => {
  const [one, other] = [await world.issue(), await world.issue()];
  const basic = Buffer.from(`${one.text}:${other.text}`).toString("base64");
  const answer = await world.ask(request({ headers: [`authorization: Basic ${basic}`] }));
  expectRefusal(answer, { bytes: String, code: "key_invalid" });
});

test("refusals of a valid key are audit rows with their code, which their answers name, and counted in the key", async () => {
  const { key, text } = await world.issue();
  const answers = [
    await world.ask(request({ key: `${text}~7~2`, target: "/stripe/v1/unheard_of" })),
    await world.ask(request({ key: text, body: "amount=4000&currency=eur" })),
    await world.ask(request({ key: text, body: "amount=99999999&currency=usd" })),
  ];
  const rows = await world.calls(key.keyId);
  expect(rows).toMatchObject([
    { state: "refused", code: "endpoint_unpriced", vendor: "stripe", method: "POST", task: 7, attempt: 2 },
    { state: "refused", code: "currency_not_allowed", endpoint: "POST /v1/payment_intents", costMicros: 0 },
    { state: "refused", code: "cap_exhausted", endpoint: "POST /v1/payment_intents", costMicros: 0 },
  ]);
  expect(answers.map(({ headers }) => headers.get("x-keybrake-call"))).toEqual(rows.map(({ id }) => id));
  const { refusals } = await world.key(key.keyId);
  expect(refusals).toEqual({ endpoint_unpriced: 1, currency_not_allowed: 1, cap_exhausted: 1 });
});

test("refusals reach each vendor's SDK in that vendor's shape, without a key too", async () => {
  const stripe = errorOf(await world.ask(request({ target: "/v1/payment_intents" })));
  expect(stripe).toMatchObject({ code: "key_invalid", error: { code: "key_invalid", type: "authentication_error" } });
  const twilio = errorOf(await world.ask(request({ target: `/2010-04-01/Accounts/${accountSid}/Messages.json` })));
  expect(twilio).toMatchObject({ status: 401, details: { reason: "key_invalid" } });
  expect(Number.isInteger(twilio.code)).toBe(true);
  const resend = errorOf(await world.ask(request({ target: "/emails" })));
  expect(resend).toMatchObject({ statusCode: 401, code: "key_invalid", name: expect.any(String) });
});
