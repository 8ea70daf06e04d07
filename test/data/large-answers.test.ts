/**
 * Goal: an answer beyond the bound of the buffer is settled, streamed in its order, and cut where it must be.
 * Method: the data plane on a real socket, megabytes from a raw upstream. Limit: memory is not measured here; the bench does it.
 */
import { afterEach, describe, expect, test } from "vitest";
import { chunked, text as plain } from "../support/upstream.ts";
import { get, request, startWorld, type World } from "./world.ts";

const intent = { id: "pi_1", amount: 4000, currency: "usd", status: "succeeded", amount_received: 4000 };
const QUOTE = 40_000_000;

let world: World;
afterEach(() => world.stop());

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
