/**
 * Goal: the life of a call from its bytes to its answer: priced, reserved, sent with the real secret, settled, answered.
 * Method: raw sockets against the real server, ledger and connectors; the upstream keeps what it got byte for byte.
 * Limit: the store is in memory and the vendor is a script; crashes and real vendors are tested elsewhere.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { createLogger } from "../../service/log.ts";
import { json } from "../support/upstream.ts";
import { accountSid, errorOf, get, request, secrets, startWorld, type World } from "./world.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

describe("a priced call", () => {
  test("reaches the vendor with the real secret, and the client gets the vendor's answer", async () => {
    const { key, text } = await world.issue();
    const answer = await world.ask(request({ key: text }));
    expect(answer.status).toBe(200);
    expect(JSON.parse(answer.body.toString())).toMatchObject({ id: "pi_1" });
    const sent = world.upstream.received[0]!;
    expect(sent.headers.get("authorization")).toBe(`Bearer ${secrets.stripe}`);
    expect(sent.target).toBe("/v1/payment_intents");
    expect(sent.raw).not.toContain(text);
    const [call] = await world.calls(key.keyId);
    expect(call).toMatchObject({ state: "settled", costMicros: 40_000_000, objectId: "pi_1", status: 200 });
    expect(answer.headers.get("x-keybrake-call")).toBe(call!.id);
    expect(answer.headers.get("x-keybrake-remaining-usd")).toBe("60.00");
    expect(sent.headers.get("idempotency-key")).toBe(`${call!.id}-${call!.generation}`);
  });

  test("is taken as soon as another instance has resumed its key", async () => {
    const { key, text } = await world.issue();
    const by = "operator";
    await world.ledger.act(key.keyId, { act: "pause", by, reason: "a look at it" });
    expect((await world.ask(request({ key: text }))).status).toBe(403);
    const { store } = world;
    const log = createLogger({ write: () => {} });
    const other = openLedger({ store, clock: systemClock, random: systemRandom, log });
    await other.act(key.keyId, { act: "resume", by });
    expect((await world.ask(request({ key: text }))).status).toBe(200);
    expect(world.upstream.received).toHaveLength(1);
  });

  test("sends only headers of the allow-list", async () => {
    const { text } = await world.issue();
    await world.ask(
      request({
        key: text,
        headers: [
          "x-forwarded-for: 1.2.3.4",
          "cookie: a=b",
          "stripe-version: 2026-06-24.basil",
          "user-agent: me",
          "x-keybrake-task-index: 1",
          "x-keybrake-task-attempt: 0",
        ],
      }),
    );
    const names = [...world.upstream.received[0]!.headers.keys()].sort();
    expect(names).toEqual([
      "accept",
      "accept-encoding",
      "authorization",
      "connection",
      "content-length",
      "content-type",
      "host",
      "idempotency-key",
      "stripe-version",
      "user-agent",
    ]);
    expect(world.upstream.received[0]!.headers.get("accept-encoding")).toBe("identity");
  });

  test("passes on only headers of the allow-list", async () => {
    const { text } = await world.issue();
    world.upstream.next(
      json(
        200,
        { id: "pi_2", amount: 1, currency: "usd", status: "succeeded", amount_received: 1 },
        { "request-id": "req_1", "set-cookie": "a=b", "x-keybrake-cap-hit": "true", server: "nginx" },
      ),
    );
    const answer = await world.ask(request({ key: text }));
    expect(answer.headers.get("request-id")).toBe("req_1");
    for (const name of ["set-cookie", "x-keybrake-cap-hit", "server"]) expect(answer.headers.has(name)).toBe(false);
  });

  test("over the cap is 429 with the cap-hit header, Stripe's shape, and nothing sent", async () => {
    const { key, text } = await world.issue({ capMicros: 39_000_000 });
    const answer = await world.ask(request({ key: text }));
    expect(answer.status).toBe(429);
    expect(answer.headers.get("x-keybrake-cap-hit")).toBe("true");
    expect(answer.headers.get("x-keybrake-code")).toBe("cap_exhausted");
    expect(answer.headers.get("stripe-should-retry")).toBe("false");
    expect(answer.headers.get("x-should-retry")).toBe("false");
    expect(errorOf(answer)).toMatchObject({
      code: "cap_exhausted",
      error: { type: "rate_limit_error", code: "cap_exhausted" },
    });
    expect(String(errorOf(answer).message)).toMatch(/^cap_exhausted: /);
    expect(world.upstream.received).toHaveLength(0);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "refused", code: "cap_exhausted" }]);
  });

  test("of a repeated task is answered from the receipt, nothing sent", async () => {
    const { text } = await world.issue();
    const first = await world.ask(
      request({
        key: `${text}~3~0`,
        headers: ["idempotency-key: stripe-node-retry-7d9f0e7e-0a53-4f28-8b4c-0c6e4c9a3e01"],
      }),
    );
    const again = await world.ask(
      request({
        key: `${text}~3~1`,
        headers: ["idempotency-key: stripe-node-retry-1b9f0e7e-0a53-4f28-8b4c-0c6e4c9a3e02"],
      }),
    );
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
    expect(again.headers.get("x-keybrake-replayed")).toBe("true");
    expect(again.headers.get("x-keybrake-call")).toBe(first.headers.get("x-keybrake-call"));
    expect(world.upstream.received).toHaveLength(1);
  });

  test("of a repeat whose answer was too large to keep is 409 already_settled with the ids", async () => {
    const { text } = await world.issue();
    world.upstream.next(
      json(200, {
        id: "pi_9",
        amount: 4000,
        currency: "usd",
        status: "succeeded",
        amount_received: 4000,
        description: "x".repeat(70_000),
      }),
    );
    const headers = ["idempotency-key: my-own-key"];
    expect((await world.ask(request({ key: text, headers }))).status).toBe(200);
    const again = await world.ask(request({ key: text, headers }));
    expect(again.status).toBe(409);
    expect(again.headers.get("x-keybrake-code")).toBe("already_settled");
    expect(JSON.stringify(errorOf(again))).toContain("pi_9");
    expect(world.upstream.received).toHaveLength(1);
  });

  test("after a revoke is refused even as a repeat of a settled call", async () => {
    const { key, text } = await world.issue();
    const headers = ["idempotency-key: my-own-key"];
    await world.ask(request({ key: text, headers }));
    await world.ledger.act(key.keyId, { act: "revoke", by: "admin", reason: "test" });
    const again = await world.ask(request({ key: text, headers }));
    expect([again.status, again.headers.get("x-keybrake-code")]).toEqual([401, "key_revoked"]);
  });

  test("that is looked up first reads the object with the real secret, then reserves", async () => {
    const { key, text } = await world.issue();
    world.upstream.next(
      json(200, {
        id: "pi_7",
        object: "payment_intent",
        amount: 2500,
        currency: "usd",
        status: "requires_confirmation",
        amount_received: 0,
        amount_capturable: 0,
        capture_method: "automatic",
      }),
      json(200, {
        id: "pi_7",
        object: "payment_intent",
        amount: 2500,
        currency: "usd",
        status: "succeeded",
        amount_received: 2500,
      }),
    );
    const answer = await world.ask(request({ key: text, target: "/stripe/v1/payment_intents/pi_7/confirm", body: "" }));
    expect(answer.status).toBe(200);
    expect(world.upstream.received.map(({ method }) => method)).toEqual(["GET", "POST"]);
    expect(world.upstream.received[0]!.headers.get("authorization")).toBe(`Bearer ${secrets.stripe}`);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: 25_000_000 }]);
  });
});

describe("where the key comes from", () => {
  test.each([
    ["the password of Basic (Twilio's SDK)", (text: string) => `${accountSid}:${text}`],
    ["the user of Basic (curl -u)", (text: string) => `${text}:`],
  ])("%s", async (_, credential) => {
    const { text } = await world.issue({ scope: { vendors: ["twilio"] } });
    world.upstream.next(json(201, { sid: "SM1", status: "queued", price: null, num_segments: "1" }));
    const basic = Buffer.from(credential(text)).toString("base64");
    const answer = await world.ask(
      request({
        target: `/2010-04-01/Accounts/${accountSid}/Messages.json`,
        headers: [`authorization: Basic ${basic}`],
        body: "To=%2B15005550006&From=%2B15005550001&Body=hi",
      }),
    );
    expect([answer.status, answer.body.toString()]).toEqual([201, expect.stringContaining("SM1")]);
    const sent = world.upstream.received[0]!;
    expect(sent.headers.get("authorization")).toBe(`Basic ${Buffer.from(secrets.twilio!).toString("base64")}`);
  });

  test("a bare path finds the vendor by the key", async () => {
    const { text } = await world.issue();
    expect((await world.ask(request({ key: text, target: "/v1/payment_intents" }))).status).toBe(200);
  });

  test("the header in which the vendor's own clients send it", async () => {
    await world.stop();
    world = await startWorld({
      connectors: [
        {
          id: "maps",
          name: "Maps",
          upstream: "https://maps.example.com",
          credential: { type: "header", header: "x-maps-key" },
          body: { codec: "json" },
          free: [],
          rules: [{ endpoint: "POST /v1/geocode", quote: { micros: "5000", why: "one look-up" } }],
          errors: { body: { code: "$code", message: "$message" } },
        },
      ],
    });
    const { key, text } = await world.issue({ scope: { vendors: ["maps"] } });
    const headers = [`x-maps-key: ${text}`, "content-type: application/json"];
    const answer = await world.ask(request({ target: "/maps/v1/geocode", headers, body: '{"q":"x"}' }));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([200, undefined]);
    const sent = world.upstream.received[0]!;
    expect([sent.headers.get("x-maps-key"), sent.headers.has("authorization")]).toEqual(["maps_CANARY_secret", false]);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: 5000 }]);
  });

  test("a key of two vendors finds each by the path, with allow-lists that name the vendor", async () => {
    const scope = {
      vendors: ["stripe", "resend"],
      allowedEndpoints: ["stripe:POST /v1/payment_intents", "resend:POST /emails"],
    };
    const { key, text } = await world.issue({ scope });
    expect((await world.ask(request({ key: text, target: "/v1/payment_intents" }))).status).toBe(200);
    const mail = JSON.stringify({ from: "a@b.co", to: ["c@d.co"], subject: "s", html: "<p>" });
    world.upstream.next(json(200, { id: "mail_1" }));
    const headers = ["content-type: application/json"];
    expect((await world.ask(request({ key: text, target: "/emails", headers, body: mail }))).status).toBe(200);
    expect((await world.calls(key.keyId)).map(({ vendor }) => vendor)).toEqual(["stripe", "resend"]);
  });

  test("a slash repeated behind the mount is collapsed (resend-node)", async () => {
    const { text } = await world.issue({ scope: { vendors: ["resend"] } });
    world.upstream.next(json(200, { id: "mail_1" }));
    const answer = await world.ask(
      request({
        key: text,
        target: "/resend//emails",
        headers: ["content-type: application/json"],
        body: JSON.stringify({ from: "a@b.co", to: ["c@d.co"], subject: "s", html: "<p>" }),
      }),
    );
    expect([answer.status, answer.body.toString()]).toEqual([200, '{"id":"mail_1"}']);
    expect(world.upstream.received[0]!.target).toBe("/emails");
  });
});

describe("a free read", () => {
  test("is streamed, counted, and costs nothing", async () => {
    const { key, text } = await world.issue();
    world.upstream.next(json(200, { object: "list", data: [] }));
    const answer = await world.ask(get("/stripe/v1/customers?limit=3", text));
    expect(answer.body.toString()).toBe('{"object":"list","data":[]}');
    expect(answer.whole).toBe(true);
    expect(await world.calls(key.keyId)).toMatchObject([
      { state: "settled", costMicros: 0, endpoint: "GET /v1/customers" },
    ]);
    expect(world.upstream.received[0]!.target).toBe("/v1/customers?limit=3");
  });
});

test("one canonical line is logged per call, with Cloud Logging's fields and without the key or the secret", async () => {
  const { key, text } = await world.issue();
  await world.ask(
    request({ key: `${text}~5~1`, headers: ["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"] }),
  );
  const lines = world.logs.filter((line) => line.includes('"message":"call"'));
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0]!)).toMatchObject({
    severity: "INFO",
    "logging.googleapis.com/trace": "0af7651916cd43dd8448eb211c80319c",
    "logging.googleapis.com/labels": { key_id: key.keyId, label: key.label, vendor: "stripe" },
    endpoint: "POST /v1/payment_intents",
    status: 200,
    state: "settled",
    quote_micros: 40_000_000,
    cost_micros: 40_000_000,
    task: 5,
    attempt: 1,
  });
  for (const hidden of [text, secrets.stripe!]) expect(world.logs.join("")).not.toContain(hidden);
});

test("the control plane's words go to the control plane, everything else does not", async () => {
  for (const target of ["/health", "/vault/keys?label=x", "/openapi.json", "/calls/1/settle"]) {
    expect((await world.ask(get(target, "none"))).headers.get("x-plane")).toBe("control");
  }
  for (const target of ["/healthz", "/Vault/keys", "/vault%2fkeys", "http://proxy/vault/keys"]) {
    expect((await world.ask(get(target, "none"))).headers.has("x-plane")).toBe(false);
  }
});
