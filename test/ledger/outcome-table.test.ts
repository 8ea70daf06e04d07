/**
 * Goal: each end of a call moves the money as the outcome table says; limits, daily windows and exposures hold to the micro-dollar.
 * Method: one call or a few on a ledger in memory, then the key's sums; every test ends with an audit of the whole books.
 * Limit: which outcome an answer of a vendor is, is decided by the data plane and proved there.
 */
import { describe, expect, onTestFinished, test } from "vitest";
import type { Outcome } from "../../service/ledger/ledger.ts";
import type { Call } from "../../service/ledger/types.ts";
import { audit } from "./books.ts";
import {
  ask,
  codeOf,
  DAY,
  declined,
  failed500,
  forward,
  HOUR,
  issued,
  LEASE,
  MINUTE,
  makeWorld,
  NOON,
  paid,
  send,
  timedOut,
} from "./fixture.ts";

const USD = 1_000_000;
const MIDNIGHT = NOON + 12 * HOUR;

async function bench(over: Parameters<typeof issued>[1] = {}) {
  const world = makeWorld();
  const { ledger, store } = world;
  const { keyId } = await issued(ledger, over);
  onTestFinished(async () => {
    await audit(store, keyId);
  });
  let texts = 0;
  const other = (more: Parameters<typeof ask>[0] = {}) => {
    texts += 1;
    return ask({ canonical: `text ${texts}`, ...more });
  };
  return {
    ...world,
    keyId,
    /** A request unlike all before. */
    other,
    state: async () => (await ledger.fresh(keyId))!,
    sums: async () => {
      const key = await ledger.fresh(keyId);
      return { spent: key!.spentMicros / USD, reserved: key!.reservedMicros / USD };
    },
    find: async (call: Call) => (await store.findCall(call.id))!,
    refusal: (request = other()) => codeOf(ledger.reserve(keyId, request)),
  };
}

describe("one send", () => {
  const rows: [string, Outcome, Partial<Call>, { spent: number; reserved: number }][] = [
    [
      "a 2xx settles at its cost and gives the rest back",
      paid(0.4 * USD),
      { state: "settled", costMicros: 0.4 * USD },
      { spent: 0.4, reserved: 0 },
    ],
    [
      "a 2xx that cannot be parsed settles at the quote",
      paid(USD),
      { state: "settled", costMicros: USD },
      { spent: 1, reserved: 0 },
    ],
    [
      "a price that comes later is spent at the quote meanwhile",
      paid(USD, { pricePending: true }),
      { state: "settled", pricePending: true },
      { spent: 1, reserved: 0 },
    ],
    [
      "a decline releases all of it",
      declined,
      { state: "released", status: 402, costMicros: 0 },
      { spent: 0, reserved: 0 },
    ],
    [
      "a send of which no byte was written releases all of it",
      { kind: "release", status: null, code: "upstream_unreachable" },
      { state: "released", status: null },
      { spent: 0, reserved: 0 },
    ],
    [
      "a failure after the first byte keeps all of it",
      timedOut,
      { state: "unknown", doubt: true },
      { spent: 0, reserved: 1 },
    ],
    ["a 500 keeps all of it", failed500, { state: "unknown", status: 500 }, { spent: 0, reserved: 1 }],
  ];
  test.each(rows)("%s", async (_, outcome, call, sums) => {
    const b = await bench();
    expect((await send(b.ledger, b.keyId, ask({ lookup: "sealed facts" }), outcome)).call).toMatchObject({
      ...call,
      lookup: outcome.kind === "unknown" ? "sealed facts" : null,
    });
    expect(await b.sums()).toEqual(sums);
  });
});

describe("several sends of one call", () => {
  const request = ask({ task: 1, attempt: 0, clientKey: { value: "random", madeBy: "sdk" } });

  test("after an unknown send a decline of the next proves nothing: the call stays unknown and keeps its money", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, request, timedOut);
    expect((await send(b.ledger, b.keyId, request, declined)).call.state).toBe("unknown");
    expect(await b.sums()).toEqual({ spent: 0, reserved: 1 });
  });

  test("the same when the first send was taken over because its lease was over", async () => {
    const b = await bench();
    await forward(b.ledger, b.keyId, request);
    b.clock.time += LEASE;
    expect((await send(b.ledger, b.keyId, request, declined)).call.state).toBe("unknown");
  });

  test("a late decline or timeout of an earlier send changes nothing, a late success settles", async () => {
    const b = await bench();
    const first = await forward(b.ledger, b.keyId, request);
    b.clock.time += LEASE;
    await forward(b.ledger, b.keyId, request);
    for (const outcome of [declined, timedOut]) {
      expect((await b.ledger.finish(b.keyId, first.call.id, 1, outcome)).state).toBe("reserved");
    }
    expect((await b.ledger.finish(b.keyId, first.call.id, 1, paid(USD))).state).toBe("settled");
    expect((await b.ledger.finish(b.keyId, first.call.id, 2, timedOut)).state).toBe("settled");
    expect(await b.sums()).toEqual({ spent: 1, reserved: 0 });
  });

  test("two successes that name one object count once; another object means that the vendor acted twice", async () => {
    const b = await bench();
    const { call } = await send(b.ledger, b.keyId, request, paid(USD, { objectId: "ch_1" }));
    await b.ledger.finish(b.keyId, call.id, 1, paid(USD, { objectId: "ch_1" }));
    expect(await b.state()).toMatchObject({ spentMicros: USD, status: "active" });
    await b.ledger.finish(b.keyId, call.id, 1, paid(USD, { objectId: "ch_2" }));
    expect(await b.state()).toMatchObject({ spentMicros: 2 * USD, status: "paused", reason: "cost_over_reservation" });
  });

  test("an answer that comes after the operator released the call is spent in full, and the key is paused", async () => {
    const b = await bench();
    const { call } = await forward(b.ledger, b.keyId, request);
    await b.ledger.releaseByHand(await b.ledger.lose(call, "restart"), "op", "gone");
    await b.ledger.finish(b.keyId, call.id, 1, paid(USD));
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: 0, status: "paused" });
  });
});

describe("what is learnt of an unknown call", () => {
  test("found: it settles; absent: it is released, also after several sends; nothing learnt: it stays", async () => {
    const b = await bench();
    const lost = async () => (await send(b.ledger, b.keyId, b.other({ dedupe: null }), timedOut)).call;
    expect((await b.ledger.evidence(await lost(), paid(0.3 * USD))).state).toBe("settled");
    expect((await b.ledger.evidence(await lost(), declined)).state).toBe("released");
    expect((await b.ledger.evidence(await lost(), timedOut)).state).toBe("unknown");
    expect(await b.sums()).toEqual({ spent: 0.3, reserved: 1 });
  });

  test("a look-up that began before the call was sent again decides nothing", async () => {
    const b = await bench();
    const request = ask({ dedupe: "x" });
    const seen = (await send(b.ledger, b.keyId, request, timedOut)).call;
    await send(b.ledger, b.keyId, request, timedOut);
    expect((await b.ledger.evidence(seen, declined)).state).toBe("unknown");
    expect(await b.sums()).toEqual({ spent: 0, reserved: 1 });
  });

  test("by hand only an unknown call is settled or released, and who and why is chained", async () => {
    const b = await bench();
    const one = (await send(b.ledger, b.keyId, b.other(), timedOut)).call;
    const two = (await send(b.ledger, b.keyId, b.other(), timedOut)).call;
    await b.ledger.settleByHand(one, 0.5 * USD, "ann", "seen at the vendor");
    await b.ledger.releaseByHand(two, "bob", "not at the vendor");
    expect(await b.sums()).toEqual({ spent: 0.5, reserved: 0 });
    expect(await codeOf(b.ledger.releaseByHand(one, "ann", "again"))).toBe("call_state");
    const { commits } = await audit(b.store, b.keyId);
    expect(commits.flat().slice(-2)).toMatchObject([
      { act: "settle_by_hand", callId: one.id, by: "ann", reason: "seen at the vendor", spentMicros: 0.5 * USD },
      { act: "release_by_hand", callId: two.id, by: "bob", reason: "not at the vendor", reservedMicros: -USD },
    ]);
  });

  test("revoking and expiry stop no settle, no release and no evidence", async () => {
    const b = await bench();
    const sent = [await forward(b.ledger, b.keyId, b.other()), await forward(b.ledger, b.keyId, b.other())];
    const lost = (await send(b.ledger, b.keyId, b.other(), timedOut)).call;
    await b.ledger.act(b.keyId, { act: "revoke", by: "op", reason: "stop" });
    b.clock.time = NOON + 2 * DAY;
    await b.ledger.finish(b.keyId, sent[0]!.call.id, 1, paid(USD));
    await b.ledger.finish(b.keyId, sent[1]!.call.id, 1, declined);
    await b.ledger.evidence(lost, paid(USD));
    expect(await b.sums()).toEqual({ spent: 2, reserved: 0 });
  });
});

describe("the exposure of one vendor object", () => {
  const about = (usd: number) => ask({ canonical: `update to ${usd}`, object: "pi_1", quoteMicros: usd * USD });
  const now = (usd: number) => paid(usd * USD, { objectId: "pi_1", object: "pi_1" });

  test("created at 4,000, confirmed, updated to 6,000 (2,000 more), captured at 1,500, cancelled: it is one spend", async () => {
    const b = await bench({ capMicros: 6_000 * USD });
    await send(b.ledger, b.keyId, ask({ quoteMicros: 4_000 * USD }), now(4_000));
    const confirm = await forward(b.ledger, b.keyId, about(4_000));
    expect(confirm.call.reservedMicros).toBe(0);
    await b.ledger.finish(b.keyId, confirm.call.id, 1, now(4_000));
    expect(await b.sums()).toEqual({ spent: 4_000, reserved: 0 });
    const update = await forward(b.ledger, b.keyId, about(6_000));
    expect(update.call.reservedMicros).toBe(2_000 * USD);
    await b.ledger.finish(b.keyId, update.call.id, 1, now(6_000));
    expect(await b.sums()).toEqual({ spent: 6_000, reserved: 0 });
    expect(await b.refusal(about(6_001))).toBe("cap_exhausted");
    await send(b.ledger, b.keyId, about(1_500), now(1_500));
    expect(await b.sums()).toEqual({ spent: 1_500, reserved: 0 });
    await send(b.ledger, b.keyId, about(0), now(0));
    expect(await b.state()).toMatchObject({ spentMicros: 0, reservedMicros: 0, status: "active" });
  });

  test("two updates at once each reserve what they would add, and together end at the last one", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    const [small, large] = [await forward(b.ledger, b.keyId, about(12)), await forward(b.ledger, b.keyId, about(15))];
    expect(await b.sums()).toEqual({ spent: 10, reserved: 7 });
    await b.ledger.finish(b.keyId, small.call.id, 1, now(12));
    expect(await b.sums()).toEqual({ spent: 12, reserved: 5 });
    await b.ledger.finish(b.keyId, large.call.id, 1, now(15));
    expect(await b.state()).toMatchObject({ spentMicros: 15 * USD, reservedMicros: 0, status: "active" });
  });

  test("an update that fails leaves the exposure as it was", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    await send(b.ledger, b.keyId, about(15), declined);
    expect(await b.sums()).toEqual({ spent: 10, reserved: 0 });
    await send(b.ledger, b.keyId, about(15), timedOut);
    expect(await b.sums()).toEqual({ spent: 10, reserved: 5 });
  });

  test("what an update gives back while another is under way is not free before both have ended", async () => {
    const b = await bench({ capMicros: 12 * USD });
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    const update = await forward(b.ledger, b.keyId, about(12));
    await send(b.ledger, b.keyId, about(1), now(1));
    expect(await b.sums()).toEqual({ spent: 10, reserved: 2 });
    expect(await b.refusal()).toBe("cap_exhausted");
    await b.ledger.finish(b.keyId, update.call.id, 1, now(12));
    expect(await b.state()).toMatchObject({ spentMicros: 12 * USD, reservedMicros: 0, status: "active" });
    await send(b.ledger, b.keyId, about(1), now(1));
    expect(await b.sums()).toEqual({ spent: 1, reserved: 0 });
  });

  test("of two updates at once the larger counts, also when the smaller one's answer comes last", async () => {
    const b = await bench({ capMicros: 10 * USD });
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    const [small, large] = [await forward(b.ledger, b.keyId, about(1)), await forward(b.ledger, b.keyId, about(10))];
    await b.ledger.finish(b.keyId, large.call.id, 1, now(10));
    await b.ledger.finish(b.keyId, small.call.id, 1, now(1));
    expect(await b.sums()).toEqual({ spent: 10, reserved: 0 });
  });

  test("an update that is unknown still counts as under way, until evidence ends it", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    const lost = await send(b.ledger, b.keyId, about(10), timedOut);
    await send(b.ledger, b.keyId, about(1), now(1));
    expect(await b.sums()).toEqual({ spent: 10, reserved: 0 });
    await b.ledger.evidence(lost.call, declined);
    await send(b.ledger, b.keyId, about(2), now(2));
    expect(await b.sums()).toEqual({ spent: 2, reserved: 0 });
  });

  test("an update that was declined beside it keeps nothing from giving back", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    const beside = await forward(b.ledger, b.keyId, about(12));
    const small = await forward(b.ledger, b.keyId, about(1));
    await b.ledger.finish(b.keyId, beside.call.id, 1, declined);
    await b.ledger.finish(b.keyId, small.call.id, 1, now(1));
    expect(await b.sums()).toEqual({ spent: 1, reserved: 0 });
  });

  test("more than 32 calls about one object at once are told to come back", async () => {
    const b = await bench();
    for (let n = 0; n < 32; n += 1) await forward(b.ledger, b.keyId, about(1));
    expect(await b.refusal(about(1))).toBe("in_progress");
    expect(await b.refusal()).toBe(null);
  });

  test("a growth beyond what the update reserved pauses the key", async () => {
    const b = await bench();
    await send(b.ledger, b.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    await send(b.ledger, b.keyId, about(12), now(13));
    expect(await b.state()).toMatchObject({ spentMicros: 13 * USD, status: "paused", reason: "cost_over_reservation" });
  });

  test("an object that another key owns counts in full for this one", async () => {
    const b = await bench();
    const key = await issued(b.ledger, { label: "another" });
    await send(b.ledger, key.keyId, ask({ quoteMicros: 10 * USD }), now(10));
    expect(await b.ledger.ownsObject(key.keyId, "stripe", "pi_1")).toBe(true);
    expect(await b.ledger.ownsObject(b.keyId, "stripe", "pi_1")).toBe(false);
    const confirm = await forward(b.ledger, b.keyId, about(10));
    expect(confirm.call.reservedMicros).toBe(10 * USD);
    await b.ledger.finish(b.keyId, confirm.call.id, 1, now(10));
    expect(await b.sums()).toEqual({ spent: 10, reserved: 0 });
    expect(await b.ledger.ownsObject(b.keyId, "stripe", "pi_1")).toBe(true);
  });
});

describe("cost above the reservation (I8)", () => {
  test("it is recorded in full and pauses the key until an operator resumes it", async () => {
    const b = await bench({ capMicros: USD });
    await send(b.ledger, b.keyId, b.other(), paid(3 * USD));
    expect(await b.state()).toMatchObject({ spentMicros: 3 * USD, status: "paused", reason: "cost_over_reservation" });
    expect(await b.refusal()).toBe("key_paused");
    await b.ledger.act(b.keyId, { act: "resume", by: "op" });
    expect(await b.refusal()).toBe("cap_exhausted");
  });

  test("it is said also on a key that an operator had paused for another reason", async () => {
    const b = await bench();
    const { call } = await forward(b.ledger, b.keyId, ask());
    await b.ledger.act(b.keyId, { act: "pause", by: "op", reason: "lunch" });
    await b.ledger.finish(b.keyId, call.id, 1, paid(2 * USD));
    expect(await b.state()).toMatchObject({ status: "paused", reason: "cost_over_reservation" });
  });

  test("a revoked key stays revoked", async () => {
    const b = await bench();
    const { call } = await forward(b.ledger, b.keyId, ask());
    await b.ledger.act(b.keyId, { act: "revoke", by: "op", reason: "stop" });
    await b.ledger.finish(b.keyId, call.id, 1, paid(2 * USD));
    expect(await b.state()).toMatchObject({ spentMicros: 2 * USD, status: "revoked", reason: "stop" });
  });
});

describe("the true price of a settled call", () => {
  const pending = paid(USD, { pricePending: true });

  test("a lower one gives back, the same one ends the wait, and each is chained", async () => {
    const b = await bench();
    const one = (await send(b.ledger, b.keyId, b.other(), pending)).call;
    const two = (await send(b.ledger, b.keyId, b.other(), pending)).call;
    expect(await b.ledger.adjust(one, 0.2 * USD, "price")).toMatchObject({
      costMicros: 0.2 * USD,
      pricePending: false,
    });
    expect(await b.ledger.adjust(two, USD, "price")).toMatchObject({ costMicros: USD, pricePending: false });
    expect(await b.sums()).toEqual({ spent: 1.2, reserved: 0 });
    expect((await b.find(one)).chain).toHaveLength(3);
    expect((await b.find(one)).settledAt).toBe(NOON);
  });

  test("a higher one is spent in full and pauses the key", async () => {
    const b = await bench();
    const { call } = await send(b.ledger, b.keyId, b.other(), pending);
    await b.ledger.adjust(call, 1.1 * USD, "price");
    expect(await b.state()).toMatchObject({ spentMicros: 1.1 * USD, status: "paused" });
  });

  test("one that grows again, into room that others have taken meanwhile, pauses the key", async () => {
    const b = await bench({ capMicros: USD });
    const { call } = await send(b.ledger, b.keyId, b.other(), pending);
    await b.ledger.adjust(call, 0, "cancelled");
    await forward(b.ledger, b.keyId, b.other());
    expect((await b.state()).status).toBe("active");
    await b.ledger.adjust(call, USD, "not cancelled");
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: USD, status: "paused" });
  });

  test("only a settled call has one", async () => {
    const b = await bench();
    const { call } = await send(b.ledger, b.keyId, b.other(), timedOut);
    expect(await b.ledger.adjust(call, 0, "price")).toMatchObject({ state: "unknown", reservedMicros: USD });
  });
});

describe("a daily cap", () => {
  const twoDays = { capMicros: null, dailyCapMicros: 2 * USD, expiresAt: NOON + 5 * DAY };

  test("it is free again at midnight UTC, and not a millisecond before", async () => {
    const b = await bench(twoDays);
    for (let call = 0; call < 2; call += 1) await send(b.ledger, b.keyId, b.other(), paid(USD));
    b.clock.time = MIDNIGHT - 1;
    expect(await b.refusal()).toBe("cap_exhausted");
    b.clock.time = MIDNIGHT;
    expect(await b.refusal()).toBeNull();
  });

  test("a call that is open over midnight takes room of both days, and is spent on the day of its settle", async () => {
    const b = await bench(twoDays);
    const open = await forward(b.ledger, b.keyId, b.other());
    b.clock.time = MIDNIGHT;
    await send(b.ledger, b.keyId, b.other(), paid(USD));
    expect(await b.refusal()).toBe("cap_exhausted");
    await b.ledger.finish(b.keyId, open.call.id, 1, paid(USD));
    expect(await b.state()).toMatchObject({ windowId: "2026-11-23", windowSpentMicros: 2 * USD, spentMicros: 2 * USD });
    expect(await b.refusal()).toBe("cap_exhausted");
  });

  test("what is given back the next day does not make that day's window negative", async () => {
    const b = await bench(twoDays);
    const { call } = await send(b.ledger, b.keyId, b.other({ quoteMicros: 2 * USD }), paid(2 * USD));
    b.clock.time = MIDNIGHT;
    await b.ledger.adjust(call, 0, "cancelled");
    expect(await b.state()).toMatchObject({ spentMicros: 0, windowSpentMicros: 0 });
    expect(await b.refusal(b.other({ quoteMicros: 2 * USD + 1 }))).toBe("cap_exhausted");
    expect(await b.refusal(b.other({ quoteMicros: 2 * USD }))).toBeNull();
  });

  test("beside a lifetime cap the smaller of the two is what is available", async () => {
    const b = await bench({ ...twoDays, capMicros: 3 * USD });
    for (let call = 0; call < 2; call += 1) await send(b.ledger, b.keyId, b.other(), paid(USD));
    expect(await b.refusal()).toBe("cap_exhausted");
    b.clock.time = MIDNIGHT;
    await send(b.ledger, b.keyId, b.other(), paid(USD));
    expect(await b.refusal()).toBe("cap_exhausted");
  });
});

describe("limits", () => {
  test("the last micro-dollar of a cap can be reserved, and not one more", async () => {
    const b = await bench({ capMicros: USD });
    expect(await b.refusal(b.other({ quoteMicros: USD + 1 }))).toBe("cap_exhausted");
    expect(await b.refusal(b.other({ quoteMicros: USD }))).toBeNull();
    expect(await b.refusal(b.other({ quoteMicros: 1 }))).toBe("cap_exhausted");
    expect(await b.refusal(b.other({ quoteMicros: 0 }))).toBeNull();
  });

  test("per_call: a quote at the limit passes, a micro-dollar more does not", async () => {
    const b = await bench({ scope: { perCallMicros: USD } });
    expect(await b.refusal(b.other({ quoteMicros: USD }))).toBeNull();
    expect(await b.refusal(b.other({ quoteMicros: USD + 1 }))).toBe("per_call_exceeded");
  });

  test("concurrency: an unknown call is not in flight, a reserved one is until it ends", async () => {
    const b = await bench({ scope: { concurrency: 2 } });
    const first = await forward(b.ledger, b.keyId, b.other());
    const second = await forward(b.ledger, b.keyId, b.other());
    expect(await b.refusal()).toBe("rate_exhausted");
    await b.ledger.finish(b.keyId, first.call.id, 1, timedOut);
    expect(await b.refusal()).toBeNull();
    await b.ledger.finish(b.keyId, second.call.id, 1, declined);
    expect(await b.refusal()).toBeNull();
  });

  test("max_calls counts calls and not sends; a call that is tried anew after its release counts again", async () => {
    const b = await bench({ scope: { maxCalls: 2 } });
    const request = ask({ dedupe: "x" });
    await send(b.ledger, b.keyId, request, timedOut);
    const { call } = await send(b.ledger, b.keyId, request, timedOut);
    await b.ledger.evidence(call, declined);
    await send(b.ledger, b.keyId, request, declined);
    expect(await b.refusal(request)).toBe("rate_exhausted");
  });

  test("calls_per_minute begins anew with the minute of the clock", async () => {
    const b = await bench({ scope: { callsPerMinute: 2 } });
    b.clock.time = NOON + MINUTE - 1;
    expect([await b.refusal(), await b.refusal(), await b.refusal()]).toEqual([null, null, "rate_exhausted"]);
    b.clock.time = NOON + MINUTE;
    expect([await b.refusal(), await b.refusal(), await b.refusal()]).toEqual([null, null, "rate_exhausted"]);
  });

  test("a refused call reserves and counts nothing but its refusal, and leaves an audit row; the rows are bounded", async () => {
    const b = await bench({ capMicros: 0 });
    for (let batch = 0; batch < 3; batch += 1) await Promise.all(Array.from({ length: 340 }, () => b.refusal(ask())));
    const key = await b.state();
    expect(key).toMatchObject({
      spentMicros: 0,
      reservedMicros: 0,
      refusals: { cap_exhausted: 1_020 },
      refusalRows: 1_000,
    });
    expect(key.counts.calls).toBe(0);
    const { calls } = await audit(b.store, b.keyId);
    expect(calls).toHaveLength(1_000);
    expect(calls[0]).toMatchObject({ state: "refused", code: "cap_exhausted", endpoint: ask().endpoint });
  });
});

describe("the end of a key", () => {
  test("a key takes a call in its last millisecond, and none after it", async () => {
    const b = await bench();
    b.clock.time = NOON + DAY - 1;
    expect(await b.refusal()).toBeNull();
    b.clock.time = NOON + DAY;
    expect(await b.refusal()).toBe("key_expired");
  });

  test("a reservation that the store wrote after the key's end is released unsent", async () => {
    const b = await bench();
    b.clock.time = NOON + DAY - 1;
    b.store.plan({ seed: 1, turns: 20 });
    const late = b.refusal();
    // The decision is made one millisecond before the end; the store writes it some turns later.
    await new Promise(setImmediate);
    await Promise.resolve();
    b.clock.time = NOON + DAY;
    expect(await late).toBe("key_expired");
    b.store.plan(null);
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    const { calls } = await audit(b.store, b.keyId);
    expect(calls.filter((call) => call.state !== "refused")).toMatchObject([
      { state: "released", code: "key_expired" },
    ]);
    expect(await b.sums()).toEqual({ spent: 0, reserved: 0 });
  });

  test("time that goes back is not believed: decisions use the latest time that the key has seen", async () => {
    const b = await bench();
    b.clock.time = NOON + DAY;
    expect(await b.refusal()).toBe("key_expired");
    b.clock.time = NOON;
    expect(await b.refusal()).toBe("key_expired");
  });
});

describe("what operators do", () => {
  test("raise sets a new total, is the same when repeated, and is never below the old one", async () => {
    const b = await bench({ capMicros: USD });
    const raise = (capMicros: number) => b.ledger.act(b.keyId, { act: "raise", capMicros, by: "op" });
    for (let time = 0; time < 2; time += 1) expect((await raise(2 * USD)).capMicros).toBe(2 * USD);
    expect(await codeOf(raise(2 * USD - 1))).toBe("request_invalid");
    expect((await audit(b.store, b.keyId)).commits.flat().filter(({ act }) => act === "raise")).toHaveLength(1);
  });

  test("a key with a daily cap only has nothing to raise", async () => {
    const b = await bench({ capMicros: null, dailyCapMicros: USD });
    expect(await codeOf(b.ledger.act(b.keyId, { act: "raise", capMicros: USD, by: "op" }))).toBe("request_invalid");
  });

  test("a revoked key cannot be paused, resumed or raised; revoking again keeps the first reason", async () => {
    const b = await bench();
    await b.ledger.act(b.keyId, { act: "revoke", by: "op", reason: "first" });
    expect(await codeOf(b.ledger.act(b.keyId, { act: "pause", by: "op", reason: "x" }))).toBe("call_state");
    expect(await codeOf(b.ledger.act(b.keyId, { act: "resume", by: "op" }))).toBe("call_state");
    expect(await codeOf(b.ledger.act(b.keyId, { act: "raise", capMicros: 200 * USD, by: "op" }))).toBe("call_state");
    expect((await b.ledger.act(b.keyId, { act: "revoke", by: "op", reason: "second" })).reason).toBe("first");
  });
});
