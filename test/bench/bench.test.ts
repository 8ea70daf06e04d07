/**
 * Goal: the bench's figures are what they say: no failed call counts as speed, and a stall is charged to every call it delayed.
 * Method: the load loops against a loopback server, and the arithmetic on known numbers.
 * Limit: nothing here says how fast the proxy is; `npm run bench` does.
 */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { type Figure, figuresText, met } from "./figures.ts";
import { closedLoop, openLoop, paymentRequest } from "./load.ts";
import { demandAllAnswered, median, percentile, ratio } from "./rounds.ts";

let server: Server | null = null;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function listen(answer: RequestListener): Promise<URL> {
  server = createServer(answer);
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

describe("the load", () => {
  it("sends exactly the calls asked for, each with its own idempotency key, customer and task", async () => {
    const keys = new Set<unknown>();
    const bodies = new Set<string>();
    const credentials = new Set<unknown>();
    const url = await listen((request, response) => {
      keys.add(request.headers["idempotency-key"]);
      credentials.add(request.headers.authorization);
      request.on("data", (body) => bodies.add(String(body)));
      request.on("end", () => response.end("{}"));
    });
    const result = await closedLoop(url, 5, paymentRequest(url, "vk_x"), { calls: 103 });
    expect(result).toMatchObject({ calls: 103, failures: 0 });
    expect([keys.size, bodies.size]).toEqual([103, 103]);
    expect([...credentials].sort()).toEqual([0, 1, 2, 3, 4].map((task) => `Bearer vk_x~${task}~0`));
  });

  it("takes an answer in chunks, and one that arrives in pieces, as one answer", async () => {
    let answers = 0;
    const url = await listen((request, response) => {
      request.resume();
      answers += 1;
      if (answers % 2 === 0) response.setHeader("content-length", 4);
      response.write("ab");
      setImmediate(() => response.end("cd"));
    });
    expect(await closedLoop(url, 2, paymentRequest(url, "vk_x"), { calls: 20 })).toMatchObject({
      calls: 20,
      failures: 0,
    });
    expect(answers).toBe(20);
  });

  it("counts what is not 200, and a run with such calls has no figure", async () => {
    let answers = 0;
    const url = await listen((request, response) => {
      request.resume();
      answers += 1;
      response.writeHead(answers === 3 ? 429 : 200, { "content-length": 13 }).end("cap_exhausted");
    });
    const result = await closedLoop(url, 1, paymentRequest(url, "vk_x"), { calls: 10 });
    expect(result).toMatchObject({ calls: 10, failures: 1, firstFailure: "429 cap_exhausted" });
    expect(() => demandAllAnswered("it", result)).toThrow("it: 1 of 10 calls were not answered 200: 429 cap_exhausted");
  });

  it("counts a connection that is cut", async () => {
    const url = await listen((request) => request.socket.destroy());
    const result = await closedLoop(url, 2, paymentRequest(url, "vk_x"), { calls: 10 });
    expect(result).toMatchObject({ failures: 2, firstFailure: "the connection was closed" });
  });

  it("gives up what has no answer in time, and counts it as failed", async () => {
    let asked = 0;
    const url = await listen((request, response) => {
      request.resume();
      asked += 1;
      if (asked === 1) response.end("{}");
    });
    const until = { seconds: 0.2, patienceSeconds: 0.1 };
    const result = await closedLoop(url, 3, paymentRequest(url, "vk_x"), until);
    expect(result).toMatchObject({ calls: 4, failures: 3, firstFailure: "the connection was closed" });
  });

  it("at a fixed rate a stall delays all calls that became due in it, not only the one in flight", async () => {
    const stallMs = 400;
    let answers = 0;
    const url = await listen((request, response) => {
      request.resume();
      answers += 1;
      if (answers !== 20) {
        response.end("{}");
        return;
      }
      const until = performance.now() + stallMs;
      // A blocked event loop, as a long synchronous piece of work would block it.
      while (performance.now() < until);
      response.end("{}");
    });
    // The stall blocks this very process, generator included: what it could not send on time must count all the same.
    const result = await openLoop(url, 4, paymentRequest(url, "vk_x"), 200, 0.5);
    expect(result).toMatchObject({ calls: 100, failures: 0 });
    expect(result.latencies.filter((latency) => latency > stallMs / 4).length).toBeGreaterThan(40);
  });
});

describe("the arithmetic", () => {
  it("median and percentile go by rank", () => {
    expect(median([5, 1, 3])).toBe(3);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([0.5, 0.99, 1].map((share) => percentile(hundred, share))).toEqual([50, 99, 100]);
  });

  it("a ratio compares rounds that were neighbours in time", () => {
    const round = (callsPerSecond: number) => ({ callsPerSecond, cores: 1, cpuMsPerCall: 1 });
    // The machine became three times slower after the first round; the ratio did not change.
    const rounds = new Map([
      ["a", [round(900), round(300), round(300)]],
      ["b", [round(600), round(200), round(200)]],
    ]);
    expect(ratio(rounds, "callsPerSecond", "a", "b")).toBe(1.5);
  });

  it("a target is met or missed, and what has none is neither", () => {
    const figure = (value: number, target: Figure["target"]): Figure => ({
      name: "f",
      value,
      unit: "×",
      target,
      baseline: "b",
    });
    expect(met(figure(1.2, { atLeast: 1.2 }))).toBe(true);
    expect(met(figure(1.19, { atLeast: 1.2 }))).toBe(false);
    expect(met(figure(50, { below: 50 }))).toBe(false);
    expect(met(figure(0.5, { atMost: 0.5 }))).toBe(true);
    expect(met(figure(0.51, { atMost: 0.5 }))).toBe(false);
    expect(met(figure(1, null))).toBeNull();
    expect(figuresText([figure(0.5, { atLeast: 1 })])).toMatch(/f +0\.50 × +≥ 1 +MISSED +b\n/);
  });
});
