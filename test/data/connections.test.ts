/**
 * Goal: bytes that two servers would frame differently, and requests that Node answers by itself, end in a JSON refusal or a closed
 * connection, with nothing sent and the proxy alive; every bound of the server holds; SIGTERM's `stop` loses no call.
 * Method: raw sockets against the real server, with small limits where a limit is meant.
 * Limit: no front end stands before the proxy here; what one makes of the same bytes is not seen.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RawSocket } from "../support/raw-socket.ts";
import { held, json } from "../support/upstream.ts";
import { errorOf, get, request, startWorld, type World } from "./world.ts";

const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
const body = "amount=4000&currency=usd";
let world: World;
afterEach(() => world.stop());

async function alive(): Promise<void> {
  const { text } = await world.issue();
  expect((await world.ask(request({ key: text }))).status).toBe(200);
}

describe("framing", () => {
  beforeEach(async () => {
    world = await startWorld();
  });

  const shapes: Record<string, string[]> = {
    "Content-Length and Transfer-Encoding together": [`content-length: ${body.length}`, "transfer-encoding: chunked"],
    "Transfer-Encoding first, Content-Length behind": ["transfer-encoding: chunked", "content-length: 4"],
    "two Content-Lengths that differ": [`content-length: ${body.length}`, "content-length: 1"],
    "two Content-Lengths that agree": [`content-length: ${body.length}`, `content-length: ${body.length}`],
    "a list of Content-Lengths": [`content-length: ${body.length}, ${body.length}`],
    "a Content-Length with a sign": [`content-length: +${body.length}`],
    "a Content-Length in hex": ["content-length: 0x18"],
    "Transfer-Encoding gzip, chunked": ["transfer-encoding: gzip, chunked"],
    "Transfer-Encoding chunked twice": ["transfer-encoding: chunked, chunked"],
    "Transfer-Encoding in two headers": ["transfer-encoding: gzip", "transfer-encoding: chunked"],
    "Transfer-Encoding identity": ["transfer-encoding: identity"],
    "Transfer-Encoding in another case": ["transfer-encoding: Chunked"],
    "Transfer-Encoding with a vertical tab": ["transfer-encoding: \x0bchunked"],
    "a space before a header's colon": [`content-length : ${body.length}`],
    "a folded header": ["x-a: b", " c: d", `content-length: ${body.length}`],
    "a NUL in a header": [`x-a: \0`, `content-length: ${body.length}`],
    "a bare CR in a header": [`x-a: b\rcontent-length: ${body.length}`],
  };
  test.each(Object.entries(shapes))("%s is refused", async (_, headers) => {
    const { text } = await world.issue();
    const chunks = `18\r\n${body}\r\n0\r\n\r\n`;
    const payload = headers.some((line) => line.startsWith("transfer")) ? chunks : body;
    const client = await world.open();
    client.send(
      `POST /stripe/v1/payment_intents HTTP/1.1\r\nhost: p\r\nauthorization: Bearer ${text}\r\ncontent-type: application/x-www-form-urlencoded\r\n${headers.join("\r\n")}\r\n\r\n${payload}`,
    );
    const answer = await client.answer();
    if (answer) {
      expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([400, "request_invalid"]);
      expect(String(errorOf(answer).message)).toMatch(/^request_invalid: /);
    }
    expect(world.upstream.received).toHaveLength(0);
    client.socket.destroy();
    await alive();
  });

  test("a body in chunks is taken, and sent on with a length of ours", async () => {
    const { text } = await world.issue();
    const answer = await world.ask(
      `POST /stripe/v1/payment_intents HTTP/1.1\r\nauthorization: Bearer ${text}\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\n8;x=y\r\namount=4\r\n10\r\n000&currency=usd\r\n0\r\nx-trailer: 1\r\n\r\n`,
    );
    expect(answer.status).toBe(200);
    expect(world.upstream.received[0]!.headers.get("transfer-encoding")).toBeUndefined();
    expect(world.upstream.received[0]!.body).toContain("amount=4000&currency=usd");
    expect(world.upstream.received[0]!.raw).not.toContain("x-trailer");
  });

  test("a broken chunk is refused, and the connection ends", async () => {
    const { text } = await world.issue();
    const client = await world.open();
    client.send(
      `POST /stripe/v1/payment_intents HTTP/1.1\r\nauthorization: Bearer ${text}\r\ncontent-type: application/x-www-form-urlencoded\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n`,
    );
    const answer = await client.answer();
    expect([answer?.status, answer?.headers.get("x-keybrake-code")]).toEqual([400, "request_invalid"]);
    await client.untilClosed();
    expect(world.upstream.received).toHaveLength(0);
    await alive();
  });

  test("junk behind a whole request does not disturb its call", async () => {
    const { key, text } = await world.issue();
    const client = await world.open();
    client.send(`${request({ key: text })}GARBAGE\r\n\r\n`);
    expect((await client.answer())?.status).toBe(200);
    await client.untilClosed();
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled" }]);
    await alive();
  });

  test("requests sent in one go are answered in their order", async () => {
    const { text } = await world.issue();
    const client = await world.open();
    client.send(request({ key: text }) + get("/stripe/v1/unheard_of", text) + request({ key: text }));
    expect([(await client.answer())?.status, (await client.answer())?.status, (await client.answer())?.status]).toEqual(
      [200, 403, 200],
    );
  });
});

describe("what Node would answer with nothing", () => {
  beforeEach(async () => {
    world = await startWorld({ limits: { headersMs: 300, requestMs: 600 } });
  });

  async function told(bytes: string): Promise<[number | undefined, string | undefined]> {
    const client = await world.open();
    client.send(bytes);
    const answer = await client.answer();
    if (answer) expect(String(errorOf(answer).message)).toMatch(/^request_invalid: /);
    await client.untilClosed();
    expect(world.upstream.received).toHaveLength(0);
    await alive();
    return [answer?.status, answer?.headers.get("x-keybrake-code")];
  }

  test("a request without Host is served: nothing is decided on it", async () => {
    const { text } = await world.issue();
    const bytes = request({ key: text }).replace("host: proxy\r\n", "");
    expect((await world.ask(bytes)).status).toBe(200);
  });

  test("an odd Expect is 417 in JSON", async () => {
    const { text } = await world.issue();
    expect(await told(request({ key: text, headers: ["expect: 200-ok"] }))).toEqual([417, "request_invalid"]);
  });

  test("headers over 16 KiB are 431 in JSON", async () => {
    const { text } = await world.issue();
    expect(await told(get("/stripe/v1/customers", text, [`x-big: ${"x".repeat(20_000)}`]))).toEqual([
      431,
      "request_invalid",
    ]);
  });

  test("something that is not HTTP is 400 in JSON", async () => {
    expect(await told("\x16\x03\x01\x02\x00 hello\r\n\r\n")).toEqual([400, "request_invalid"]);
  });

  test("CONNECT is 400 in JSON", async () => {
    expect(await told("CONNECT api.stripe.com:443 HTTP/1.1\r\nhost: api.stripe.com:443\r\n\r\n")).toEqual([
      400,
      "request_invalid",
    ]);
  });

  test("an upgrade is 400 in JSON", async () => {
    const { text } = await world.issue();
    expect(await told(get("/stripe/v1/customers", text, ["connection: upgrade", "upgrade: h2c"]))).toEqual([
      400,
      "request_invalid",
    ]);
  });

  test("headers that never end are 408 in JSON", async () => {
    expect(await told("GET /stripe/v1/customers HTTP/1.1\r\nx-a: ")).toEqual([408, "request_invalid"]);
  });

  test("a body that never ends is 408 in the vendor's shape", async () => {
    const { text } = await world.issue();
    expect(await told(request({ key: text }).slice(0, -3))).toEqual([408, "request_invalid"]);
  });
});

describe("Expect: 100-continue", () => {
  beforeEach(async () => {
    world = await startWorld();
  });

  test("is answered when the body is wanted", async () => {
    const { text } = await world.issue();
    const client = await world.open();
    const bytes = request({ key: text, headers: ["expect: 100-continue"] });
    client.send(bytes.slice(0, -body.length));
    const seen = await new Promise<string>((resolve) => client.socket.once("data", (chunk) => resolve(String(chunk))));
    expect(seen).toMatch(/^HTTP\/1.1 100 Continue/);
    client.send(body);
    expect((await client.answer())?.status).toBe(200);
  });

  test("is not answered when the call is refused before its body", async () => {
    const client = await world.open();
    client.send(request({ headers: ["expect: 100-continue"] }).slice(0, -body.length));
    expect((await client.answer())?.status).toBe(401);
    expect((await client.untilClosed()).toString()).not.toContain("100 Continue");
  });
});

describe("bounds", () => {
  test("beyond the calls at once a call is 503 overloaded before its body is read", async () => {
    world = await startWorld({ limits: { concurrency: 1 } });
    const { text } = await world.issue();
    const slow = held(json(200, intent));
    world.upstream.next(slow.behaviour);
    const first = world.ask(request({ key: text }));
    await world.upstream.whenReceived(1);
    const client = await world.open();
    client.send(request({ key: text }).slice(0, -body.length));
    const second = await client.answer();
    expect([second?.status, second?.headers.get("x-keybrake-code"), second?.headers.get("retry-after")]).toEqual([
      503,
      "overloaded",
      "1",
    ]);
    slow.letGo();
    expect((await first).status).toBe(200);
    expect(world.upstream.received).toHaveLength(1);
  });

  test("beyond the connections a client is told 503 overloaded", async () => {
    world = await startWorld({ limits: { connections: 2 } });
    const { text } = await world.issue();
    const open = [await world.open(), await world.open()];
    const answer = await world.ask(request({ key: text }));
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([503, "overloaded"]);
    expect(world.upstream.received).toHaveLength(0);
    for (const client of open) client.socket.destroy();
    while (world.server.listening && (await connections()) > 0) await new Promise(setImmediate);
    await alive();
  });

  function connections(): Promise<number> {
    return new Promise((resolve) => world.server.getConnections((_, count) => resolve(count)));
  }

  test("a refused body is read to a bound, so that the client reads its answer, then cut", async () => {
    world = await startWorld({ limits: { discardBytes: 100_000 } });
    const { text } = await world.issue();
    const client = await world.open();
    client.send(request({ key: text, body: "a".repeat(2_000_000) }));
    expect((await client.answer())?.headers.get("x-keybrake-code")).toBe("body_too_large");
    await client.untilClosed();
    await alive();
  });
});

describe("stop", () => {
  beforeEach(async () => {
    world = await startWorld();
  });

  test("lets calls in flight end, takes no new ones, and closes", async () => {
    const { key, text } = await world.issue();
    const slow = held(json(200, intent));
    world.upstream.next(slow.behaviour);
    const [busy, idle] = [await world.open(), await world.open()];
    busy.send(request({ key: text }));
    await world.upstream.whenReceived(1);
    const stopped = world.server.stop(5_000);
    await idle.untilClosed();
    await expect(RawSocket.open(world.port)).rejects.toThrow("ECONNREFUSED");
    slow.letGo();
    const answer = await busy.answer();
    expect([answer?.status, answer?.headers.get("connection")]).toEqual([200, "close"]);
    expect(await stopped).toBe(0);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled" }]);
  });

  test("waits for a call whose client is gone", async () => {
    const { key, text } = await world.issue();
    const slow = held(json(200, intent));
    world.upstream.next(slow.behaviour);
    const client = await world.open();
    client.send(request({ key: text }));
    await world.upstream.whenReceived(1);
    client.leave();
    const stopped = world.server.stop(5_000);
    slow.letGo();
    expect(await stopped).toBe(0);
    expect(await world.calls(key.keyId)).toMatchObject([{ state: "settled", costMicros: 40_000_000 }]);
  });

  test("gives up after its bound, and says how many calls are left", async () => {
    const { text } = await world.issue();
    world.upstream.next(() => {});
    const client = await world.open();
    client.send(request({ key: text }));
    await world.upstream.whenReceived(1);
    expect(await world.server.stop(50)).toBe(1);
    await client.untilClosed();
  });
});
