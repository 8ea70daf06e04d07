/**
 * Goal: a client that leaves, at whatever step, neither stops what its vendor has begun nor leaves a reservation without an outcome.
 * Method: real sockets, closed when the data plane reports the step. Limit: one call at a time.
 */
import { afterEach, describe, expect, test } from "vitest";
import type { Step } from "../../service/data/data-plane.ts";
import { steps } from "../support/steps.ts";
import { cut, held, json, reset, silence } from "../support/upstream.ts";
import { get, request, secrets, startWorld, type World } from "./world.ts";

const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
const QUOTE = 40_000_000;

let world: World;
afterEach(() => world.stop());

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
  const seen: Step[] = [];
  world.onStep = (step) => void seen.push(step);
  await world.ask(request({ key: text }));
  expect(seen).toEqual(steps);
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
