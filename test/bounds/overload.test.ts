/**
 * Goal: whatever clients do at once, the proxy holds a bounded amount of it, says 503 `overloaded` to the rest, and serves again
 * as soon as there is room.
 * Method: the whole service in a process of its own with small bounds, on raw sockets that stall at each place where a client can.
 * Limit: the bounds are tried at small numbers; that the default ones fit a machine's memory is for the bench to show.
 */
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { probedProxy } from "../support/probed-proxy.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { held, Upstream } from "../support/upstream.ts";
import { newIntent } from "./new-intent.ts";

const timeout = 120_000;
const CONCURRENCY = 8;
const CONNECTIONS = 60;
/** Of those, left to the control plane's client, which keeps its own. */
const SPARE = 10;

let vendor: Upstream;
let proxy: RunningProxy;
let key: IssuedKey;
let payments = 0;

async function start(limits: Parameters<typeof probedProxy>[0]["limits"]): Promise<void> {
  proxy = await startProxy({
    vendors: { stripe: { url: vendor.url, secret: "sk_test_bounds_0123456789" } },
    entry: () => probedProxy({ limits: limits ?? {} }),
  });
  key = await proxy.issue({ vendor: "stripe", usd_cap: "9000.00", allowed_endpoints: ["*"], label: "bounds" });
}

beforeEach(async () => {
  vendor = await Upstream.start();
  vendor.otherwise = newIntent;
});
afterEach(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

function payment(): string {
  payments += 1;
  const body = `amount=400&currency=usd&metadata%5Bn%5D=${payments}`;
  return `${head(body.length)}${body}`;
}

const head = (length: number): string =>
  [
    "POST /stripe/v1/payment_intents HTTP/1.1",
    `host: p\r\nauthorization: Bearer ${key.vaultKey}`,
    `content-type: application/x-www-form-urlencoded\r\ncontent-length: ${length}\r\n\r\n`,
  ].join("\r\n");

/** One payment on a connection of its own. @returns status and catalogue code. */
async function pay(): Promise<[number | undefined, string | undefined]> {
  const client = await RawSocket.open(proxy.port);
  client.send(payment());
  const answer = await client.answer();
  client.socket.destroy();
  return [answer?.status, answer?.headers.get("x-keybrake-code")];
}

describe("beyond the calls that may be in flight at once", () => {
  it("a call is 503 overloaded before its body is read, operators are served, and room is used again", {
    timeout,
  }, async () => {
    await start({ concurrency: CONCURRENCY });
    const gates = Array.from({ length: CONCURRENCY }, () => held(newIntent));
    vendor.next(...gates.map(({ behaviour }) => behaviour));
    const busy = await Promise.all(gates.map(() => RawSocket.open(proxy.port)));
    for (const socket of busy) socket.send(payment());
    await vendor.whenReceived(CONCURRENCY);

    for (let extra = 0; extra < 30; extra += 1) {
      const client = await RawSocket.open(proxy.port);
      // The head alone: not one byte of the body that it promises.
      client.send(head(200_000));
      const answer = await client.answer();
      expect([answer?.status, answer?.headers.get("x-keybrake-code")]).toEqual([503, "overloaded"]);
      expect(answer?.headers.get("retry-after")).toBe("1");
      expect(JSON.parse(String(answer?.body))).toMatchObject({ code: "overloaded", error: { code: "overloaded" } });
      client.leave();
    }
    expect(await proxy.key(key.keyId)).toMatchObject({ reserved_micros: CONCURRENCY * 4_000_000 });
    expect(vendor.received).toHaveLength(CONCURRENCY);

    gates[0]!.letGo();
    expect((await busy[0]!.answer())?.status).toBe(200);
    expect(await pay()).toEqual([200, undefined]);
    for (const { letGo } of gates) letGo();
    for (const socket of busy.slice(1)) expect((await socket.answer())?.status).toBe(200);
    expect(await pay()).toEqual([200, undefined]);
    for (const socket of busy) socket.socket.destroy();
  });

  it("calls whose clients have left still count until the vendor has answered", { timeout }, async () => {
    await start({ concurrency: CONCURRENCY });
    const gates = Array.from({ length: CONCURRENCY }, () => held(newIntent));
    vendor.next(...gates.map(({ behaviour }) => behaviour));
    const busy = await Promise.all(gates.map(() => RawSocket.open(proxy.port)));
    for (const socket of busy) socket.send(payment());
    await vendor.whenReceived(CONCURRENCY);
    for (const socket of busy) socket.leave();
    expect(await pay()).toEqual([503, "overloaded"]);
    for (const { letGo } of gates) letGo();
    let last = await pay();
    while (last[0] === 503) last = await pay();
    expect(last).toEqual([200, undefined]);
    expect(await proxy.key(key.keyId)).toMatchObject({
      spent_micros: (CONCURRENCY + 1) * 4_000_000,
      reserved_micros: 0,
    });
  });
});

describe("one key's requests", () => {
  it("that stall take no other key's room, and beyond their own are 503 overloaded before the body is read", {
    timeout,
  }, async () => {
    const most = 4;
    await start({ keyConcurrency: most });
    const other = await proxy.issue({ vendor: "stripe", usd_cap: "90.00", allowed_endpoints: ["*"], label: "other" });
    key = await proxy.issue({
      ...{ vendor: "stripe", usd_cap: "90.00", allowed_endpoints: ["*"], label: "greedy" },
      limits: { concurrency: 1 },
    });
    const stalled = await Promise.all(Array.from({ length: most }, () => RawSocket.open(proxy.port)));
    for (const socket of stalled) socket.send(head(5_000));
    let refused = 0;
    while (refused < 3) {
      // Until all of the stalled heads are read, this one may take the place of one of them: then it waits for its body.
      const client = await RawSocket.open(proxy.port);
      client.send(head(5_000));
      const answer = await Promise.race([client.answer(), delay(500)]);
      if (answer) {
        expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([503, "overloaded"]);
        refused += 1;
      }
      stalled.push(client);
    }
    key = other;
    expect(await pay()).toEqual([200, undefined]);
    for (const socket of stalled) socket.leave();
  });
});

describe("clients that stall", () => {
  it("in their head or body are told 408 and cut, while others are served", { timeout }, async () => {
    await start({ headersMs: 1_000, requestMs: 2_000 });
    const whole = payment();
    const inHead = await Promise.all(Array.from({ length: 40 }, () => RawSocket.open(proxy.port)));
    for (const socket of inHead) socket.send(whole.slice(0, 60));
    const inBody = await Promise.all(Array.from({ length: 40 }, () => RawSocket.open(proxy.port)));
    for (const socket of inBody) socket.send(whole.slice(0, -5));
    for (let n = 0; n < 20; n += 1) expect(await pay()).toEqual([200, undefined]);
    for (const socket of [...inHead, ...inBody]) {
      const answer = await socket.answer();
      expect([answer?.status, answer?.headers.get("x-keybrake-code")]).toEqual([408, "request_invalid"]);
      await socket.untilClosed();
    }
    expect(vendor.received).toHaveLength(20);
    expect(await pay()).toEqual([200, undefined]);
  });

  it("on a long answer hold the vendor back instead of filling the proxy, and get it whole in the end", {
    timeout,
  }, async () => {
    await start({});
    const CHUNK = Buffer.alloc(64 * 1024, "x");
    const CHUNKS = 960;
    const total = CHUNK.length * CHUNKS;
    let source: Socket | null = null;
    vendor.next((socket) => {
      source = socket;
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${total}\r\n\r\n`);
      for (let n = 0; n < CHUNKS; n += 1) socket.write(CHUNK);
    });
    const slow = await RawSocket.open(proxy.port);
    slow.socket.pause();
    slow.send(`GET /stripe/v1/customers HTTP/1.1\r\nhost: p\r\nauthorization: Bearer ${key.vaultKey}\r\n\r\n`);
    await vendor.whenReceived(1);
    // What the vendor has got rid of stands still when the proxy reads no further.
    let sent = -1;
    for (let still = 0; still < 5; ) {
      await delay(100);
      const now = total - (source as Socket | null)!.writableLength;
      still = now === sent ? still + 1 : 0;
      sent = now;
    }
    expect(sent).toBeLessThan(total / 2);
    for (let n = 0; n < 5; n += 1) expect(await pay()).toEqual([200, undefined]);

    let got = 0;
    slow.socket.removeAllListeners("data");
    slow.socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
    });
    slow.socket.resume();
    while (got < total) {
      expect(slow.closed).toBe(false);
      await delay(20);
    }
    slow.socket.destroy();
  });
});

describe("beyond the connections that are held", () => {
  it("some are told 503 overloaded, the rest are dropped, and those before them are served", { timeout }, async () => {
    await start({ connections: CONNECTIONS });
    const early = await Promise.all(Array.from({ length: CONNECTIONS - SPARE }, () => RawSocket.open(proxy.port)));
    for (const socket of early) socket.send(payment());
    for (const socket of early) expect((await socket.answer())?.status).toBe(200);

    const late = await Promise.all(Array.from({ length: 200 }, () => RawSocket.open(proxy.port)));
    for (const socket of late) socket.send(payment());
    const answers = await Promise.all(late.map((socket) => socket.answer()));
    const taken = answers.filter((answer) => answer?.status === 200);
    expect(taken.length).toBeLessThanOrEqual(SPARE);
    const told = answers.filter((answer) => answer !== null && answer.status !== 200);
    expect(told.length).toBeGreaterThan(0);
    for (const answer of told) {
      expect([answer?.status, answer?.headers.get("x-keybrake-code")]).toEqual([503, "overloaded"]);
    }
    expect(vendor.received).toHaveLength(early.length + taken.length);

    for (const socket of early) socket.send(payment());
    for (const socket of early) expect((await socket.answer())?.status).toBe(200);
    for (const socket of [...early, ...late]) socket.socket.destroy();
    let last = await pay();
    while (last[0] !== 200) last = await pay();
    expect(vendor.received).toHaveLength(2 * early.length + taken.length + 1);
  });
});
