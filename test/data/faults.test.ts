/**
 * Goal: however a send ends, the ledger holds what the outcome table says before the client hears of it, and the client hears the
 * right thing; a retry can go on from there.
 * Method: the upstream answers, breaks off, resets or falls silent on real sockets at the place that the test names.
 * Limit: the process does not die here, and the network is loopback.
 */

import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { Step } from "../../service/data/data-plane.ts";
import { Refusal } from "../../service/errors.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import {
  type Behaviour,
  bytes,
  chunked,
  close,
  cut,
  held,
  json,
  text as plain,
  reset,
  silence,
} from "../support/upstream.ts";
import { accountSid, get, request, secrets, startWorld, type World } from "./world.ts";

const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
const message = (text: string, task = "") =>
  request({
    key: text + task,
    target: `/twilio/2010-04-01/Accounts/${accountSid}/Messages.json`,
    body: "To=%2B15005550006&From=%2B15005550001&Body=hi",
  });
const QUOTE = 40_000_000;

let world: World;
afterEach(() => world.stop());

interface Row {
  upstream: Behaviour;
  state: "settled" | "released" | "unknown";
  cost?: number;
  held?: number;
  /** Catalogue code of our own answer; none: the vendor's is passed on. */
  code?: string;
  status: number;
  retry?: boolean;
}

async function play(row: Row): Promise<void> {
  const { key, text } = await world.issue();
  world.upstream.next(row.upstream);
  const answer = await world.ask(request({ key: text }));
  expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([row.status, row.code]);
  const [call] = await world.calls(key.keyId);
  const unknown = row.state === "unknown";
  expect([call?.state, call?.costMicros, call?.reservedMicros]).toEqual([
    row.state,
    row.cost ?? 0,
    unknown ? QUOTE : 0,
  ]);
  expect(answer.headers.get("x-keybrake-call")).toBe(call!.id);
  if (row.retry === true) expect(answer.headers.has("stripe-should-retry")).toBe(false);
  if (row.retry === false) expect(answer.headers.get("stripe-should-retry")).toBe("false");
  const { spentMicros, reservedMicros } = await world.key(key.keyId);
  expect([spentMicros, reservedMicros]).toEqual([row.cost ?? 0, unknown ? QUOTE : 0]);
}

describe("a vendor that answers", () => {
  const rows: Record<string, Row> = {
    "200 settles at the cost it names": {
      upstream: json(200, { ...intent, amount_received: 1500 }),
      state: "settled",
      cost: 15_000_000,
      status: 200,
    },
    "200 with what is no JSON settles at the quote": {
      upstream: plain(200, "<html>", { "content-type": "text/html" }),
      state: "settled",
      cost: QUOTE,
      status: 200,
    },
    "204 without a body settles at the quote": {
      upstream: bytes("HTTP/1.1 204 No Content\r\n\r\n"),
      state: "settled",
      cost: QUOTE,
      status: 204,
    },
    "400 releases": {
      upstream: json(400, { error: { type: "invalid_request_error" } }),
      state: "released",
      status: 400,
    },
    "402, a decline, releases": {
      upstream: json(402, { error: { type: "card_error" } }),
      state: "released",
      status: 402,
    },
    "403 releases": { upstream: json(403, { error: {} }), state: "released", status: 403 },
    "404 releases": { upstream: json(404, { error: {} }), state: "released", status: 404 },
    "429 of its own limiter releases": { upstream: json(429, { error: {} }), state: "released", status: 429 },
    "400 idempotency_error stays unknown": {
      upstream: json(400, { error: { type: "idempotency_error" } }),
      state: "unknown",
      status: 400,
    },
    "409 stays unknown": { upstream: json(409, { error: {} }), state: "unknown", status: 409 },
    "500 stays unknown": { upstream: json(500, { error: {} }), state: "unknown", status: 500 },
    "503 stays unknown": { upstream: plain(503, "down"), state: "unknown", status: 503 },
    "301 stays unknown and is not followed": {
      upstream: json(301, {}, { location: "http://169.254.169.254/" }),
      state: "unknown",
      code: "upstream_unreachable",
      status: 502,
    },
    "compressed though identity was asked for settles at the quote, withheld": {
      upstream: json(200, intent, { "content-encoding": "gzip" }),
      state: "settled",
      cost: QUOTE,
      code: "upstream_unreachable",
      status: 502,
    },
    "100 first, then 200, settles": {
      upstream: (socket, received) => {
        socket.write("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        json(200, intent)(socket, received);
      },
      state: "settled",
      cost: QUOTE,
      status: 200,
    },
  };
  test.each(Object.entries(rows))("%s", async (_, row) => {
    world = await startWorld();
    await play(row);
    expect(world.upstream.received).toHaveLength(1);
  });

  test("429 passes without our cap-hit header", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    world.upstream.next(
      json(429, { error: { type: "rate_limit" } }, { "retry-after": "7", "x-keybrake-cap-hit": "true" }),
    );
    const answer = await world.ask(request({ key: text }));
    expect([answer.headers.has("x-keybrake-cap-hit"), answer.headers.get("retry-after")]).toEqual([false, "7"]);
  });
});

describe("a vendor that breaks off", () => {
  const rows: Record<string, Row> = {
    "after the whole request leaves it unknown": {
      upstream: reset,
      state: "unknown",
      code: "outcome_unknown",
      status: 504,
      retry: true,
    },
    "with an orderly close leaves it unknown": {
      upstream: close,
      state: "unknown",
      code: "outcome_unknown",
      status: 504,
      retry: true,
    },
    "in the middle of its head leaves it unknown": {
      upstream: (socket) =>
        void socket.write("HTTP/1.1 200 OK\r\ncontent-le", () => setImmediate(() => socket.resetAndDestroy())),
      state: "unknown",
      code: "outcome_unknown",
      status: 504,
    },
    "with what is no HTTP leaves it unknown": {
      upstream: bytes("SSH-2.0-x\r\n\r\n"),
      state: "unknown",
      code: "outcome_unknown",
      status: 504,
    },
    "by silence leaves it unknown": {
      upstream: silence,
      state: "unknown",
      code: "outcome_unknown",
      status: 504,
      retry: true,
    },
    "in mid body of a 500 leaves it unknown": { upstream: cut(500, '{"error":'), state: "unknown", status: 500 },
    "in mid body of a 200 settles at the quote": {
      upstream: cut(200, '{"id":"pi_1",'),
      state: "settled",
      cost: QUOTE,
      status: 200,
    },
  };
  test.each(Object.entries(rows))("%s", async (_, row) => {
    world = await startWorld({ limits: { upstreamMs: 300 } });
    await play(row);
    expect(world.upstream.received).toHaveLength(1);
  });

  test("after the request's first bytes leaves it unknown", async () => {
    world = await startWorld();
    world.upstream.onBytes = (socket) => {
      socket.resetAndDestroy();
      return true;
    };
    await play({ upstream: silence, state: "unknown", code: "outcome_unknown", status: 504 });
  });

  test("by trickling never outlives the upstream's bound", async () => {
    world = await startWorld({ limits: { upstreamMs: 300 } });
    const drip: Behaviour = (socket) => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
      const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write("x")), 20);
    };
    await play({ upstream: drip, state: "settled", cost: QUOTE, status: 200 });
  });

  test("hands a cut body on as a cut body, never as a whole one", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    world.upstream.next(cut(200, '{"id":"pi_1",'));
    const answer = await world.ask(request({ key: text }));
    expect([answer.whole, answer.body.toString()]).toEqual([false, '{"id":"pi_1",']);
  });
});

describe("a vendor that is not reached", () => {
  test("because the connection is refused releases, 502 upstream_unreachable, and may be tried again", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const { port } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    world = await startWorld({ origin: `http://127.0.0.1:${port}` });
    await play({ upstream: silence, state: "released", code: "upstream_unreachable", status: 502, retry: true });
  });

  test.each<[string, (socket: Socket) => void]>([
    ["speaks no TLS", (socket) => socket.end("no TLS here")],
    ["resets the handshake", (socket) => socket.resetAndDestroy()],
  ])("because it %s releases, 502 upstream_unreachable", async (_, answer) => {
    const bad = createServer((socket) => socket.on("error", () => {}).once("data", () => answer(socket)));
    await new Promise<void>((resolve) => bad.listen(0, "127.0.0.1", resolve));
    const { port } = bad.address() as AddressInfo;
    world = await startWorld({ origin: `https://127.0.0.1:${port}`, limits: { upstreamMs: 1_000 } });
    await play({ upstream: silence, state: "released", code: "upstream_unreachable", status: 502 });
    bad.close();
  });

  test("because nobody takes its bytes in time is unknown only if some were written", async () => {
    const deaf = createServer();
    await new Promise<void>((resolve) => deaf.listen(0, "127.0.0.1", resolve));
    const { port } = deaf.address() as AddressInfo;
    world = await startWorld({ origin: `https://127.0.0.1:${port}`, limits: { upstreamMs: 300 } });
    await play({ upstream: silence, state: "released", code: "upstream_unreachable", status: 502 });
    await world.plane.close();
    deaf.close();
  });
});

describe("a repeat", () => {
  test("of an unknown Stripe call is sent again at once under the same key, and counts once", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    world.upstream.next(json(500, { error: {} }), json(500, { error: {} }), json(200, intent));
    const headers = ["idempotency-key: stripe-node-retry-7d9f0e7e-0a53-4f28-8b4c-0c6e4c9a3e01"];
    const answers = [];
    for (let i = 0; i < 3; i += 1) answers.push((await world.ask(request({ key: `${text}~0~0`, headers }))).status);
    expect(answers).toEqual([500, 500, 200]);
    expect(new Set(world.upstream.received.map((each) => each.headers.get("idempotency-key"))).size).toBe(1);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: QUOTE, sends: 3 }]);
  });

  test("of an unknown Twilio call is 409 outcome_unknown, and the 504 before it says not to retry", async () => {
    world = await startWorld();
    const { key, text } = await world.issue({ scope: { vendors: ["twilio"] } });
    world.upstream.next(reset);
    const first = await world.ask(message(text, "~0~0"));
    expect([first.status, first.headers.get("x-should-retry")]).toEqual([504, "false"]);
    const again = await world.ask(message(text, "~0~1"));
    expect([again.status, again.headers.get("x-keybrake-code")]).toEqual([409, "outcome_unknown"]);
    expect(again.headers.get("x-keybrake-call")).toBe(first.headers.get("x-keybrake-call"));
    expect(world.upstream.received).toHaveLength(1);
    const sent = (await world.calls(key.keyId)).filter(({ state }) => state !== "refused");
    expect(sent).toMatchObject([{ state: "unknown", sends: 1 }]);
  });

  test("while the call is being sent is 409 in_progress, to be tried again", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    const slow = held(json(200, intent));
    world.upstream.next(slow.behaviour);
    const bytes = request({ key: text, headers: ["idempotency-key: mine"] });
    const first = world.ask(bytes);
    await world.upstream.whenReceived(1);
    const second = await world.ask(bytes);
    expect([second.status, second.headers.get("x-keybrake-code"), second.headers.has("stripe-should-retry")]).toEqual([
      409,
      "in_progress",
      false,
    ]);
    slow.letGo();
    expect((await first).status).toBe(200);
  });

  test("finds a connection that the vendor closed meanwhile replaced", async () => {
    world = await startWorld();
    const { text } = await world.issue({ capMicros: 5 * QUOTE });
    for (let i = 0; i < 5; i += 1) {
      world.upstream.next((socket, received) => {
        json(200, intent)(socket, received);
        socket.end();
      });
      expect((await world.ask(request({ key: text }))).status).toBe(200);
    }
  });
});

describe("a vendor that refuses the real secret", () => {
  test("gets the call once more with the secret fetched anew, under the same reservation", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    world.secrets.next = { stripe: "sk_test_the_rotated_one" };
    world.upstream.next(json(401, { error: {} }));
    expect((await world.ask(request({ key: text }))).status).toBe(200);
    const [first, second] = world.upstream.received;
    expect(second!.headers.get("authorization")).toBe("Bearer sk_test_the_rotated_one");
    expect(second!.headers.get("idempotency-key")).toBe(first!.headers.get("idempotency-key"));
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", sends: 1 }]);
  });

  test("twice is 502 vendor_credential_rejected, released, its body kept from the client", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    const echo = json(401, { error: { message: "Invalid API Key provided: sk_test_****7Tn" } });
    world.upstream.next(echo, echo);
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([502, "vendor_credential_rejected"]);
    expect(answer.body.toString()).not.toContain("7Tn");
    expect(world.upstream.received).toHaveLength(2);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "released", code: "vendor_credential_rejected" }]);
  });

  test("on a free read is told the same way", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    world.upstream.next(json(401, { error: { message: "sk_test_****7Tn" } }), json(401, { error: {} }));
    const answer = await world.ask(get("/stripe/v1/customers", text));
    expect(answer.headers.get("x-keybrake-code")).toBe("vendor_credential_rejected");
  });
});

describe("a large answer", () => {
  const large = (count: number) => JSON.stringify({ ...intent, pad: "y".repeat(count) });

  test("of a priced call is settled at the quote and streamed whole", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    const body = large(3_000_000);
    world.upstream.next(plain(200, body, { "content-type": "application/json" }));
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.whole, answer.body.length]).toEqual([200, true, body.length]);
    expect(answer.body.equals(Buffer.from(body))).toBe(true);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: QUOTE, objectId: null }]);
  });

  test("of a free read is streamed in its order to a client that reads late", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    const parts = Array.from({ length: 400 }, (_, i) => String(i % 10).repeat(10_000));
    world.upstream.next(chunked(200, parts));
    const client = await world.open();
    client.socket.pause();
    client.send(get("/stripe/v1/customers", text));
    await world.upstream.whenReceived(1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.resume();
    expect((await client.answer())?.body.toString()).toBe(parts.join(""));
  });

  test("beyond the stream's bound is cut", async () => {
    world = await startWorld({ limits: { streamBytes: 2_000_000 } });
    const { text } = await world.issue();
    world.upstream.next(plain(200, large(3_000_000)));
    const answer = await world.ask(get("/stripe/v1/customers", text));
    expect(answer.whole).toBe(false);
    expect(answer.body.length).toBeLessThanOrEqual(2_000_000);
  });
});

describe("a free read that ends badly", () => {
  test.each<[string, Behaviour]>([
    ["by a reset", reset],
    ["with a 500", json(500, { error: {} })],
  ])("%s holds nothing and leaves nothing unknown", async (_, behaviour) => {
    world = await startWorld();
    const { key, text } = await world.issue();
    world.upstream.next(behaviour);
    await world.ask(get("/stripe/v1/customers", text));
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "released", reservedMicros: 0 }]);
  });
});

describe("a ledger that fails", () => {
  test("at the reservation is 503 ledger_unavailable, nothing sent", async () => {
    const down = () => Promise.reject(new Refusal("ledger_unavailable", "down"));
    world = await startWorld({ ledger: (real) => wrap(real, { reserve: down }) });
    const { text } = await world.issue();
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([503, "ledger_unavailable"]);
    expect(world.upstream.received).toHaveLength(0);
  });

  test("at the outcome still answers, marked pending, and the outcome lands later", async () => {
    let failures = 1;
    world = await startWorld({
      ledger: (real) =>
        wrap(real, {
          finish: (...args) => {
            failures -= 1;
            return failures >= 0 ? Promise.reject(new Refusal("ledger_unavailable", "down")) : real.finish(...args);
          },
        }),
    });
    const { key, text } = await world.issue();
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.headers.get("x-keybrake-settled")]).toEqual([200, "pending"]);
    while ((await world.key(key.keyId)).spentMicros === 0) await new Promise(setImmediate);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: QUOTE }]);
  });
});

test.each(["revoke", "pause"] as const)(
  "a %s between reservation and first byte stops the call and releases it",
  async (act) => {
    world = await startWorld({
      ledger: (real) =>
        wrap(real, {
          reserve: async (keyId, asked) => {
            const reservation = await real.reserve(keyId, asked);
            await real.act(keyId, { act, by: "admin", reason: "test" });
            return reservation;
          },
        }),
    });
    const { key, text } = await world.issue();
    const answer = await world.ask(request({ key: text }));
    const code = act === "revoke" ? "key_revoked" : "key_paused";
    expect(answer.headers.get("x-keybrake-code")).toBe(code);
    expect(world.upstream.received).toHaveLength(0);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "released", code }]);
    expect((await world.key(key.keyId)).reservedMicros).toBe(0);
  },
);

describe("a client that is gone", () => {
  const before: Step[] = ["received", "authenticated", "parsed", "quoted"];
  const after: Step[] = ["reserved", "before_send", "sent", "answered", "settled", "before_answer"];

  async function leaveAt(step: Step): Promise<string> {
    world = await startWorld();
    const { key, text } = await world.issue();
    world.onStep = (now, exchange) => {
      if (now === step) exchange.request.socket.destroy();
    };
    const client = await world.open();
    client.send(request({ key: text }));
    await client.untilClosed();
    await world.plane.idle(5_000);
    world.onStep = null;
    return key.keyId;
  }

  test.each(before)("at `%s` has nothing reserved and nothing sent", async (step) => {
    const keyId = await leaveAt(step);
    expect(await world.calls(keyId)).toEqual([]);
    expect(world.upstream.received).toHaveLength(0);
  });

  test.each(after)("at `%s` has its call sent to the end and settled", async (step) => {
    const keyId = await leaveAt(step);
    expect(await world.calls(keyId)).toMatchObject([{ state: "settled", costMicros: QUOTE }]);
    expect(world.upstream.received).toHaveLength(1);
  });

  test("in mid body has nothing sent", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    const client = await world.open();
    const authenticated = new Promise<void>((resolve) => {
      world.onStep = (step) => step === "authenticated" && resolve();
    });
    client.send(request({ key: text }).slice(0, -3));
    await authenticated;
    client.leave();
    await world.plane.idle(5_000);
    expect(await world.calls(key.keyId)).toEqual([]);
  });

  test("while the vendor works leaves the vendor undisturbed", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    const slow = held(json(200, intent));
    world.upstream.next(slow.behaviour);
    const client = await world.open();
    client.send(request({ key: text }));
    await world.upstream.whenReceived(1);
    client.leave();
    await new Promise((resolve) => setTimeout(resolve, 20));
    slow.letGo();
    await world.plane.idle(5_000);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: QUOTE }]);
  });

  test("in mid stream has the rest read and thrown away", async () => {
    world = await startWorld();
    const { text } = await world.issue();
    const slow = held((socket) => void socket.write(`${"b".repeat(100_000)}`));
    world.upstream.next((socket, received) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 200000\r\n\r\n${"a".repeat(100_000)}`);
      slow.behaviour(socket, received);
    });
    const client = await world.open();
    client.send(get("/stripe/v1/customers", text));
    await new Promise((resolve) => client.socket.once("data", resolve));
    client.leave();
    await new Promise((resolve) => setTimeout(resolve, 20));
    slow.letGo();
    expect(await world.plane.idle(5_000)).toBe(0);
  });
});

test("a call goes through its steps in this order", async () => {
  world = await startWorld();
  const { text } = await world.issue();
  const steps: Step[] = [];
  world.onStep = (step) => void steps.push(step);
  await world.ask(request({ key: text }));
  expect(steps).toEqual([
    "received",
    "authenticated",
    "parsed",
    "quoted",
    "reserved",
    "before_send",
    "sent",
    "answered",
    "settled",
    "before_answer",
  ]);
});

test("no fault puts the secret or the vault key into the log", async () => {
  world = await startWorld({ limits: { upstreamMs: 200 } });
  const { text } = await world.issue();
  for (const behaviour of [reset, silence, cut(200, secrets.stripe!), json(500, { error: secrets.stripe })]) {
    world.upstream.next(behaviour);
    await world.ask(request({ key: text, body: "amount=1&currency=usd" }));
  }
  expect(world.logs.length).toBeGreaterThan(3);
  for (const hidden of [text, secrets.stripe!]) expect(world.logs.join("")).not.toContain(hidden);
});

function wrap(real: Ledger, over: Partial<Ledger>): Ledger {
  return Object.assign(Object.create(real) as Ledger, {
    ...Object.fromEntries(
      (["key", "fresh", "peek", "issue", "finish", "finishLater", "refused", "act", "receipt", "reserve"] as const).map(
        (name) => [name, real[name].bind(real)],
      ),
    ),
    ...over,
  });
}
