/**
 * Goal: after a fault the next step is right: a repeat, a connection made anew, a secret fetched anew, an outcome written late.
 * Method: the data plane on a real socket, its upstream a raw server that answers as each test says. Limit: one process, and
 * the store in memory; the kills of a process are the crash suite's.
 */
import { afterEach, describe, expect, test } from "vitest";
import { Refusal } from "../../service/errors.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { held, json, reset } from "../support/upstream.ts";
import { accountSid, get, request, startWorld, type World } from "./world.ts";

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

  test("of an unknown capture or refund asks for the same amount again, though the object shows that it was taken", async () => {
    world = await startWorld();
    const { key, text } = await world.issue();
    const uncaptured = { ...intent, status: "requires_capture", amount_received: 0, amount_capturable: 4000 };
    const captured = { ...intent, amount_capturable: 0 };
    const charge = { id: "ch_1", amount_captured: 700, amount_refunded: 0, currency: "usd" };
    const scenes = [
      { target: "/stripe/v1/payment_intents/pi_1/capture", body: "", was: uncaptured, is: captured },
      { target: "/stripe/v1/refunds", body: "charge=ch_1", was: charge, is: { ...charge, amount_refunded: 700 } },
    ];
    for (const { target, body, was, is } of scenes) {
      const bytes = request({ key: text, target, body, headers: [`idempotency-key: own ${target}`] });
      // The second answer cannot be read, so the call settles at what was reserved for it.
      world.upstream.next(json(200, was), reset, json(200, is), json(200, []));
      expect((await world.ask(bytes)).status).toBe(504);
      expect((await world.ask(bytes)).status).toBe(200);
      const [, first, , second] = world.upstream.received.splice(0);
      expect(second!.body).toBe(first!.body);
      expect(second!.body).toMatch(/amount(_to_capture)?=(4000|700)/);
    }
    expect(await world.calls(key.keyId)).toMatchObject([
      { state: "settled", costMicros: QUOTE, sends: 2, amountMinor: 4000 },
      { state: "settled", costMicros: 7_000_000, sends: 2, amountMinor: 700 },
    ]);
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
    world.rotate("stripe", "sk_test_the_rotated_one");
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
