/**
 * Goal: what the retry shield calls one call is sent at most once, and what it calls two is sent twice.
 * Method: each scene is a short story of one job on a ledger in memory; a number after the key is the time it was sent.
 * Limit: the ledger's part only. That real SDKs make these keys, and that a vendor honours ours, is proved elsewhere.
 */
import { expect, test } from "vitest";
import type { Ledger, ReserveRequest } from "../../service/ledger/ledger.ts";
import { MAX_SENDS } from "../../service/ledger/reserve.ts";
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
  ledgerOn,
  makeWorld,
  maybeKey,
  NOON,
  ownKey,
  paid,
  sdkKey,
  send,
  timedOut,
  type World,
} from "./fixture.ts";

const COST = 1_000_000;
const ok = paid(COST, { receipt: "sealed answer" });

/** A world with one key, and short words for what a job does. */
async function scene(over: Parameters<typeof issued>[1] = {}) {
  const world: World = makeWorld({ instances: 2 });
  const { keyId } = await issued(world.ledger, over);
  const { ledger } = world;
  const inTask = (attempt: number, key: string | null, more: Partial<ReserveRequest> = {}) =>
    ask({ task: 7, attempt, clientKey: key === null ? null : sdkKey(key), ...more });
  return {
    ...world,
    keyId,
    inTask,
    send: (request: ReserveRequest, outcome = ok) => send(ledger, keyId, request, outcome),
    forward: (request: ReserveRequest) => forward(ledger, keyId, request),
    refusal: (request: ReserveRequest, on: Ledger = ledger) => codeOf(on.reserve(keyId, request)),
    /** The id of the call whose answer is given again. */
    repeat: async (request: ReserveRequest, on: Ledger = ledger) => {
      const answer = await on.reserve(keyId, request);
      expect(answer.kind).toBe("repeat");
      return answer.call.id;
    },
    balance: async () => {
      const key = await ledger.fresh(keyId);
      return [key!.spentMicros, key!.reservedMicros];
    },
  };
}

test("a task that charged, died and runs again with another random key gets its first answer", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, "random 1"));
  expect(await s.repeat(s.inTask(1, "random 2"))).toBe(first.call.id);
  expect(await s.repeat(s.inTask(2, "random 3"))).toBe(first.call.id);
  expect(await s.balance()).toEqual([COST, 0]);
});

test("an SDK's own retry after a reset is the same call under the same vendor key, and is reserved once", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, "random 1"), timedOut);
  const again = await s.forward(s.inTask(0, "random 1"));
  expect([again.call.id, again.vendorKey, again.send]).toEqual([first.call.id, first.vendorKey, 2]);
  expect(await s.balance()).toEqual([0, COST]);
});

test("two identical texts in one attempt are both sent, and neither is sent again in attempt 1", async () => {
  const s = await scene();
  const one = await s.send(s.inTask(0, "random 1"));
  const two = await s.send(s.inTask(0, "random 2"));
  expect(two.call.id).not.toBe(one.call.id);
  expect(await s.repeat(s.inTask(1, "random 3"))).toBe(one.call.id);
  expect(await s.repeat(s.inTask(1, "random 4"))).toBe(two.call.id);
  expect(await s.balance()).toEqual([2 * COST, 0]);
});

test("the same without any idempotency key: both are sent, and neither again", async () => {
  const s = await scene();
  const one = await s.send(s.inTask(0, null));
  const two = await s.send(s.inTask(0, null));
  expect(two.call.id).not.toBe(one.call.id);
  expect(await s.repeat(s.inTask(1, null))).toBe(one.call.id);
  expect(await s.repeat(s.inTask(1, null))).toBe(two.call.id);
  expect((await s.forward(s.inTask(1, null))).call.id).not.toBe(two.call.id);
});

test("two identical texts at once with different keys are two calls, in attempt 1 as well", async () => {
  const s = await scene();
  const [one, two] = await Promise.all([s.forward(s.inTask(0, "r1")), s.forward(s.inTask(0, "r2"))]);
  expect(one!.call.id).not.toBe(two!.call.id);
  await Promise.all([one, two].map((sent) => s.ledger.finish(s.keyId, sent!.call.id, sent!.send, ok)));
  const again = await Promise.all([s.repeat(s.inTask(1, "r3")), s.repeat(s.inTask(1, "r4"))]);
  expect(again.sort()).toEqual([one!.call.id, two!.call.id].sort());
});

test("without a key a request is the open call of its attempt while that is being sent or unknown", async () => {
  const s = await scene();
  const first = await s.forward(s.inTask(0, null));
  expect(await s.refusal(s.inTask(0, null))).toBe("in_progress");
  await s.ledger.finish(s.keyId, first.call.id, 1, timedOut);
  expect((await s.forward(s.inTask(0, null))).vendorKey).toBe(first.vendorKey);
});

test("without a key a declined call is followed by another call in the same attempt", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, null), declined);
  expect((await s.forward(s.inTask(0, null))).call.id).not.toBe(first.call.id);
});

test("a charge that answers 500, 500, 200 counts once", async () => {
  const s = await scene();
  for (const outcome of [failed500, failed500, ok]) await s.send(s.inTask(0, "random 1"), outcome);
  expect(await s.balance()).toEqual([COST, 0]);
  expect((await s.ledger.fresh(s.keyId))!.counts).toEqual({
    calls: 1,
    reserved: 0,
    settled: 1,
    released: 0,
    unknown: 0,
  });
});

test("after a decline and a success attempt 1 gets the success and is not charged again", async () => {
  const s = await scene();
  await s.send(s.inTask(0, "random 1"), declined);
  const success = await s.send(s.inTask(0, "random 2"));
  expect(await s.repeat(s.inTask(1, "random 3"))).toBe(success.call.id);
  expect(await s.balance()).toEqual([COST, 0]);
});

test("another task, another text, another vendor or another path's text is another call", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, "random 1"));
  const others = [{ task: 8 }, { canonical: "another text" }, { vendor: "twilio" }];
  const ids = [first.call.id];
  for (const other of others) ids.push((await s.forward(s.inTask(1, "random 2", other))).call.id);
  expect(new Set(ids).size).toBe(4);
});

test("a key of the client's own is the call, across attempts, tasks and proxies", async () => {
  const s = await scene();
  const own = { clientKey: ownKey("invoice 17") };
  const first = await s.send(ask(own));
  expect(await s.repeat(ask({ ...own, task: 1, attempt: 0 }))).toBe(first.call.id);
  expect(await s.repeat(ask({ ...own, task: 2, attempt: 5 }), s.ledgers[1])).toBe(first.call.id);
  expect((await s.forward(ask({ clientKey: ownKey("invoice 18") }))).call.id).not.toBe(first.call.id);
});

test("another body under one key of the client's own is a mismatch, and nothing is sent", async () => {
  const s = await scene();
  await s.send(ask({ clientKey: ownKey("invoice 17") }));
  const other = ask({ clientKey: ownKey("invoice 17"), canonical: "charge two dollars" });
  expect(await s.refusal(other)).toBe("idempotency_mismatch");
  expect(await s.refusal(other, s.ledgers[1])).toBe("idempotency_mismatch");
});

test("a uuid means one call with a task and without, whichever came first", async () => {
  const s = await scene();
  const one = { clientKey: maybeKey("1b4e28ba") };
  const first = await s.send(s.inTask(0, null, one));
  expect(await s.repeat(ask(one), s.ledgers[1])).toBe(first.call.id);
  const two = { clientKey: maybeKey("6fa459ea") };
  const second = await s.send(ask(two));
  expect(await s.repeat(s.inTask(0, null, two), s.ledgers[1])).toBe(second.call.id);
  expect(await s.repeat(ask(two))).toBe(second.call.id);
  expect(await s.refusal(s.inTask(1, null, { ...two, canonical: "another text" }))).toBe("idempotency_mismatch");
  expect(await s.balance()).toEqual([2 * COST, 0]);
});

test("a uuid of a task names the call twice: by the task and its text, and by itself", async () => {
  const s = await scene();
  const uuid = { clientKey: maybeKey("1b4e28ba") };
  const first = await s.send(s.inTask(0, null, uuid));
  expect(await s.repeat(s.inTask(1, null, { clientKey: maybeKey("6fa459ea") }))).toBe(first.call.id);
  expect(await s.repeat(s.inTask(0, null, { ...uuid, task: 8 }), s.ledgers[1])).toBe(first.call.id);
  expect(await s.refusal(s.inTask(0, null, { ...uuid, canonical: "another text" }))).toBe("idempotency_mismatch");
});

test("without a task a generated key joins only the SDK's own retries", async () => {
  const s = await scene();
  const first = await s.send(ask({ clientKey: sdkKey("random 1") }), timedOut);
  expect((await s.forward(ask({ clientKey: sdkKey("random 1") }))).call.id).toBe(first.call.id);
  expect((await s.forward(ask({ clientKey: sdkKey("random 2") }))).call.id).not.toBe(first.call.id);
});

test("the header x-keybrake-dedupe is an identity of its own, below the client's key and above the task", async () => {
  const s = await scene();
  const first = await s.send(ask({ dedupe: "mail 3" }));
  expect(await s.repeat(s.inTask(1, "random 1", { dedupe: "mail 3" }))).toBe(first.call.id);
  expect((await s.forward(ask({ dedupe: "mail 4" }))).call.id).not.toBe(first.call.id);
  expect((await s.forward(ask({ dedupe: "mail 3", clientKey: ownKey("mail 3") }))).call.id).not.toBe(first.call.id);
});

test("what nothing tells apart is a call of its own each time", async () => {
  const s = await scene();
  const ids = [(await s.send(ask())).call.id, (await s.send(ask())).call.id];
  expect(new Set(ids).size).toBe(2);
  expect(await s.balance()).toEqual([2 * COST, 0]);
});

test("what nothing tells apart waits with 409 while an identical one is unknown, unless a header says it is another", async () => {
  const s = await scene();
  const { call } = await s.send(ask(), timedOut);
  for (const ledger of s.ledgers) {
    await expect(ledger.reserve(s.keyId, ask())).rejects.toMatchObject({
      code: "outcome_unknown",
      status: 409,
      callId: call.id,
    });
  }
  await s.send(ask({ canonical: "another text" }));
  await s.send(ask({ dedupe: "another one" }));
  await s.ledger.releaseByHand(call, "op", "not at the vendor");
  await s.send(ask());
});

test("of two identical unknown calls both must be decided before a third is sent", async () => {
  const s = await scene();
  const sent = await Promise.all([s.forward(ask()), s.forward(ask())]);
  for (const { call } of sent) await s.ledger.finish(s.keyId, call.id, 1, timedOut);
  await s.ledger.settleByHand(sent[1]!.call, COST, "op", "seen");
  expect(await s.refusal(ask())).toBe("outcome_unknown");
  await s.ledger.settleByHand(sent[0]!.call, COST, "op", "seen");
  await s.forward(ask());
});

test("a released call of a task is tried anew under a new generation, since the vendor replays the decline", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, "random 1"), declined);
  const again = await s.forward(s.inTask(1, "random 2"));
  expect(again.call.id).toBe(first.call.id);
  expect([first.vendorKey, again.vendorKey]).toEqual([`${first.call.id}-1`, `${first.call.id}-2`]);
});

test("a released call under the client's own key is tried anew under the same vendor key, as the client expects", async () => {
  const s = await scene();
  const own = ask({ clientKey: ownKey("invoice 17") });
  const first = await s.send(own, declined);
  expect((await s.forward(own)).vendorKey).toBe(first.vendorKey);
});

test("an unknown call is sent again for less than 23 h after its first send", async () => {
  const s = await scene({ expiresAt: NOON + 3 * DAY });
  await s.send(s.inTask(0, "random 1"), timedOut);
  s.clock.time = NOON + 23 * HOUR - 1;
  await s.send(s.inTask(0, "random 1"), timedOut);
  s.clock.time = NOON + 23 * HOUR;
  await expect(s.ledger.reserve(s.keyId, s.inTask(0, "random 1"))).rejects.toMatchObject({
    code: "outcome_unknown",
    status: 409,
  });
});

test("a call is sent 1,000 times at most, whether its sends fail or nobody knows how they ended", async () => {
  const s = await scene();
  const [refusedOften, unclearOften] = [ask({ clientKey: ownKey("a") }), ask({ clientKey: ownKey("b") })];
  for (let sends = 0; sends < MAX_SENDS; sends += 1) {
    await s.send(refusedOften, declined);
    await s.send(unclearOften, timedOut);
  }
  expect(await s.refusal(refusedOften)).toBe("request_invalid");
  expect(await s.refusal(unclearOften)).toBe("outcome_unknown");
  expect(await s.balance()).toEqual([0, COST]);
});

test("the 23 h begin anew with a new generation", async () => {
  const s = await scene({ expiresAt: NOON + 3 * DAY });
  await s.send(s.inTask(0, "random 1"), declined);
  s.clock.time = NOON + 22 * HOUR;
  await s.send(s.inTask(1, "random 2"), timedOut);
  s.clock.time = NOON + 30 * HOUR;
  expect((await s.forward(s.inTask(1, "random 2"))).send).toBe(3);
});

test("a call is in progress until its lease is over, then it is sent again under the same vendor key", async () => {
  const s = await scene();
  const first = await s.forward(s.inTask(0, "random 1"));
  s.clock.time += LEASE - 1;
  expect(await s.refusal(s.inTask(1, "random 2"), s.ledgers[1])).toBe("in_progress");
  s.clock.time += 1;
  const again = await s.forward(s.inTask(1, "random 2"));
  expect([again.vendorKey, again.send]).toEqual([first.vendorKey, 2]);
  expect(await s.balance()).toEqual([0, COST]);
});

test("where the vendor cannot tell a repeat, neither an unknown call nor one whose lease is over is sent again", async () => {
  const s = await scene();
  const sms = (attempt: number, text: string) =>
    s.inTask(attempt, null, { vendor: "twilio", canonical: text, idempotent: false });
  await s.send(sms(0, "hello"), timedOut);
  expect(await s.refusal(sms(1, "hello"))).toBe("outcome_unknown");
  await s.forward(sms(0, "bye"));
  s.clock.time += LEASE;
  expect(await s.refusal(sms(1, "bye"))).toBe("outcome_unknown");
});

test("a receipt is the first answer, is written once, and is there for every proxy", async () => {
  const s = await scene();
  const first = await s.send(s.inTask(0, "random 1"), paid(COST, { receipt: "first", objectId: "ch_1" }));
  await s.ledger.finish(s.keyId, first.call.id, 1, paid(COST, { receipt: "second", objectId: "ch_2" }));
  for (const ledger of s.ledgers) expect(await ledger.receipt(s.keyId, first.call.id)).toBe("first");
  await s.ledger.act(s.keyId, { act: "resume", by: "op" });
  const bare = await s.send(s.inTask(0, "random 2"), paid(COST));
  expect(await s.ledger.receipt(s.keyId, bare.call.id)).toBeNull();
  expect(await s.store.sweepReceipts(NOON + DAY + 72 * HOUR - 1, 10)).toBe(0);
  expect(await s.store.sweepReceipts(NOON + DAY + 72 * HOUR, 10)).toBe(1);
});

test.each(["revoked", "paused", "expired"] as const)(
  "under a %s key even the repeat of a settled call is refused",
  async (how) => {
    const s = await scene();
    await s.send(s.inTask(0, "random 1"));
    const open = await s.send(s.inTask(0, "random 2"), timedOut);
    if (how === "revoked") await s.ledger.act(s.keyId, { act: "revoke", by: "op", reason: "stop" });
    if (how === "paused") await s.ledger.act(s.keyId, { act: "pause", by: "op", reason: "look" });
    if (how === "expired") s.clock.time = NOON + DAY;
    for (const ledger of s.ledgers) expect(await s.refusal(s.inTask(1, "random 3"), ledger)).toBe(`key_${how}`);
    expect((await s.ledger.evidence(open.call, ok)).state).toBe("settled");
  },
);

test("an exhausted cap still answers the repeat of a settled call, also from a proxy that has never seen it", async () => {
  const s = await scene({ capMicros: 3 * COST });
  const byTask = await s.send(s.inTask(0, "random 1"));
  const byKey = await s.send(ask({ clientKey: ownKey("invoice 17") }));
  const byUuid = await s.send(s.inTask(0, null, { clientKey: maybeKey("1b4e28ba"), canonical: "mail" }));
  const cold = ledgerOn(s.store, s.clock, 99);
  expect(await s.refusal(s.inTask(0, "random 2"), cold)).toBe("cap_exhausted");
  for (const ledger of [s.ledgers[1]!, cold]) {
    expect(await s.repeat(s.inTask(1, "random 3"), ledger)).toBe(byTask.call.id);
    expect(await s.repeat(ask({ clientKey: ownKey("invoice 17") }), ledger)).toBe(byKey.call.id);
  }
  const elsewhere = s.inTask(0, null, { task: 8, clientKey: maybeKey("1b4e28ba"), canonical: "mail" });
  expect(await s.repeat(elsewhere, ledgerOn(s.store, s.clock, 98))).toBe(byUuid.call.id);
});

test("a refused request leaves no name: after a raise it is a first send", async () => {
  const s = await scene({ capMicros: 0 });
  expect(await s.refusal(s.inTask(0, "random 1"))).toBe("cap_exhausted");
  await s.ledger.act(s.keyId, { act: "raise", capMicros: COST, by: "op" });
  expect(await s.forward(s.inTask(0, "random 1"))).toMatchObject({ send: 1, call: { generation: 1 } });
});

test("reads are not shielded: each is a call of its own, also while an identical one is unknown", async () => {
  const s = await scene();
  const read = ask({ method: "GET", shield: false, quoteMicros: 0, task: 7, attempt: 0, clientKey: ownKey("x") });
  const first = await s.send(read, timedOut);
  expect((await s.send(read, paid(0))).call.id).not.toBe(first.call.id);
});

test("64 attempts share one call; the next is told so", async () => {
  const s = await scene();
  await s.send(s.inTask(0, "random 0"));
  for (let attempt = 1; attempt < 64; attempt += 1) await s.repeat(s.inTask(attempt, `random ${attempt}`));
  expect(await s.refusal(s.inTask(64, "random 64"))).toBe("request_invalid");
  await s.repeat(s.inTask(3, "random 3"));
});

test("a task tells 1,000 identical requests apart; one more needs a key of the client's own", async () => {
  const s = await scene();
  const texts = Array.from({ length: 1_000 }, (_, i) => s.inTask(0, `random ${i}`, { quoteMicros: 0 }));
  const sent = await Promise.all(texts.map((text) => s.forward(text)));
  expect(new Set(sent.map(({ call }) => call.id)).size).toBe(1_000);
  const next = s.inTask(0, "random 1000", { quoteMicros: 0 });
  expect(await s.refusal(next)).toBe("request_invalid");
  expect(await s.refusal(next, s.ledgers[1])).toBe("request_invalid");
  await s.forward({ ...next, clientKey: ownKey("mine") });
});
