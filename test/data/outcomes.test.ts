/**
 * Goal: however a send ends, the ledger holds what the outcome table says before the client hears of it, and the client hears the
 * right thing.
 * Method: the upstream answers, breaks off, resets or falls silent on real sockets at the place that the test names.
 * Limit: the process does not die here, and the network is loopback.
 */
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type Behaviour, bytes, close, cut, json, text as plain, reset, silence } from "../support/upstream.ts";
import { get, request, startWorld, type World } from "./world.ts";

const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
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
  const { spentMicros, reservedMicros } = await world.key(key.keyId);
  // An act is committed with or behind all that was queued before it: a second row would be there now.
  await world.ledger.act(key.keyId, { act: "pause", by: "test", reason: "the end" });
  const [call, ...more] = await world.calls(key.keyId);
  expect(more).toEqual([]);
  const unknown = row.state === "unknown";
  expect([call?.state, call?.costMicros, call?.reservedMicros]).toEqual([
    row.state,
    row.cost ?? 0,
    unknown ? QUOTE : 0,
  ]);
  expect(answer.headers.get("x-keybrake-call")).toBe(call!.id);
  if (row.retry === true) expect(answer.headers.has("stripe-should-retry")).toBe(false);
  if (row.retry === false) expect(answer.headers.get("stripe-should-retry")).toBe("false");
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
