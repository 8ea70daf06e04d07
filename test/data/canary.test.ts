/**
 * Goal: no byte of a vendor's real secret leaves: not in an answer, a header, a stream, a recorded id, a log line or the store.
 * Method: a vendor that echoes the secret in each encoding, whole and cut into chunks at every place; then everything that the proxy
 * gave out or kept is searched for it.
 * Limit: encodings that the scanner does not know (compression, encryption, a hash, a part of the secret) are not proved absent.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { chunked, json, text as plain } from "../support/upstream.ts";
import { accountSid, get, request, secrets, startWorld, type World } from "./world.ts";

const secret = secrets.stripe!;
const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
const percent = (text: string) =>
  [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
const unicode = (text: string) => [...text].map((char) => `\\u00${char.charCodeAt(0).toString(16)}`).join("");
const base64 = (before: string) => Buffer.from(`${before}${secret}tail`).toString("base64");

const echoes: Record<string, string> = {
  "as it is": secret,
  "in base64": Buffer.from(secret).toString("base64"),
  "in base64 behind one byte": base64("x"),
  "in base64 behind two bytes": base64("xy"),
  "in base64url": Buffer.from(`>>>${secret}???`).toString("base64url"),
  "in base64 as a Basic credential": Buffer.from(`${secret}:`).toString("base64"),
  "URL-escaped where it must be": encodeURIComponent(secret),
  "URL-escaped in every character": percent(secret),
  "URL-escaped in upper case": percent(secret).toUpperCase(),
  "URL-escaped twice": encodeURIComponent(encodeURIComponent(secret)),
  "URL-escaped twice in every character": percent(percent(secret)),
  "JSON-escaped slashes": secret.replaceAll("/", "\\/"),
  "JSON-escaped in every character": unicode(secret),
  "JSON-escaped, then again": JSON.stringify(JSON.stringify(secret).replaceAll("/", "\\/")).slice(1, -1),
  "JSON-escaped percent signs": encodeURIComponent(secret).replaceAll("%", "\\u0025"),
  "in base64 with escaped slashes": Buffer.from(secret).toString("base64").replaceAll("/", "\\/"),
};

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

/** Every form of the secret that this test knows, in any text. */
function expectClean(text: string): void {
  for (const form of Object.values(echoes)) expect(text.includes(form)).toBe(false);
}

describe("a priced call whose answer holds the secret", () => {
  test.each(Object.entries(echoes))("%s is settled and withheld", async (_, echo) => {
    const { key, text } = await world.issue();
    world.upstream.next(
      plain(
        200,
        `{"id":"pi_1","amount":4000,"currency":"usd","status":"succeeded","amount_received":4000,"note":"${echo}"}`,
      ),
    );
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([502, "upstream_unreachable"]);
    expectClean(answer.body.toString());
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: 40_000_000 }]);
  });

  test("as its id has no id recorded", async () => {
    const { key, text } = await world.issue();
    world.upstream.next(json(200, { ...intent, id: secret }));
    await world.ask(request({ key: text }));
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", objectId: null }]);
    expectClean(JSON.stringify(await world.calls()));
    expectClean(world.logs.join(""));
  });

  test("in a header is withheld", async () => {
    const { text } = await world.issue();
    world.upstream.next(json(200, intent, { "request-id": secret }));
    const answer = await world.ask(request({ key: text }));
    expect(answer.status).toBe(502);
    expectClean([...answer.headers.values()].join());
  });

  test("in an error of the vendor's is released and withheld", async () => {
    const { key, text } = await world.issue();
    world.upstream.next(json(400, { error: { message: `bad key ${secret}` } }));
    const answer = await world.ask(request({ key: text }));
    expectClean(answer.body.toString());
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "released" }]);
  });

  test("has no receipt: its repeat is 409 already_settled", async () => {
    const { text } = await world.issue();
    const headers = ["idempotency-key: mine"];
    world.upstream.next(json(200, { ...intent, note: secret }));
    await world.ask(request({ key: text, headers }));
    const again = await world.ask(request({ key: text, headers }));
    expect(again.headers.get("x-keybrake-code")).toBe("already_settled");
    expectClean(again.body.toString());
  });
});

describe("a stream that holds the secret", () => {
  test.each(Object.entries(echoes))("%s, cut into chunks at every place, never lets it out", async (_, echo) => {
    const { text } = await world.issue();
    const step = Math.max(1, Math.floor(echo.length / 16));
    for (let at = 1; at < echo.length; at += step) {
      world.upstream.next(chunked(200, ["a".repeat(3000), echo.slice(0, at), echo.slice(at), "b".repeat(3000)]));
      const answer = await world.ask(get("/stripe/v1/customers", text));
      expectClean(answer.body.toString());
      expect(answer.whole).toBe(false);
      expect(answer.body.toString()).toMatch(/^a+$/);
    }
  });

  test("before anything has left is a 502 in JSON", async () => {
    const { text } = await world.issue();
    world.upstream.next(chunked(200, ["a", secret]));
    const answer = await world.ask(get("/stripe/v1/customers", text));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([502, "upstream_unreachable"]);
  });

  test("one byte at a time never lets it out", async () => {
    const { text } = await world.issue();
    world.upstream.next(chunked(200, ["x".repeat(2000), ...encodeURIComponent(secret), "y".repeat(2000)]));
    const answer = await world.ask(get("/stripe/v1/customers", text));
    expect(answer.body.toString()).not.toContain(encodeURIComponent(secret).slice(0, 12));
    expect(answer.whole).toBe(false);
  });

  test("of a priced call with a large answer is settled, and cut before the secret", async () => {
    const { key, text } = await world.issue();
    world.upstream.next(plain(200, `${"z".repeat(1_500_000)}${secret}${"z".repeat(1_000)}`));
    const answer = await world.ask(request({ key: text }));
    expectClean(answer.body.toString());
    expect(answer.whole).toBe(false);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled" }]);
  });

  test("without the secret passes unchanged, whatever its chunks", async () => {
    const { text } = await world.issue();
    const parts = ['{"a":"%73', "k_test\\u005f", "canary", "/5", '1","b":"%25%25"}'];
    world.upstream.next(chunked(200, parts));
    const answer = await world.ask(get("/stripe/v1/customers", text));
    expect([answer.whole, answer.body.toString()]).toEqual([true, parts.join("")]);
  });
});

test("of Twilio's credential the token is the secret, and the account's id is not", async () => {
  const { text } = await world.issue({ scope: { vendors: ["twilio"] } });
  const target = `/twilio/2010-04-01/Accounts/${accountSid}/Messages.json`;
  const send = (body: unknown) => {
    world.upstream.next(json(201, body));
    return world.ask(request({ key: text, target, body: "To=%2B15005550006&From=%2B15005550001&Body=hi" }));
  };
  const message = { sid: "SM1", account_sid: accountSid, status: "queued", price: null, num_segments: "1" };
  expect((await send(message)).status).toBe(201);
  const token = secrets.twilio!.split(":")[1]!;
  expect((await send({ ...message, note: token })).status).toBe(502);
  expect((await send({ ...message, note: Buffer.from(secrets.twilio!).toString("base64") })).status).toBe(502);
});

test("after the secret was fetched anew both the old one and the new one are searched for", async () => {
  const { text } = await world.issue();
  world.rotate("stripe", "sk_test_the_rotated_one");
  world.upstream.next(json(401, {}), json(200, { ...intent, note: secret }));
  expect((await world.ask(request({ key: text }))).status).toBe(502);
});
