/**
 * Goal: many calls share a commit, and each is counted exactly once whatever the store answers and however many proxies write.
 * Method: crowds of requests on ledgers over the store in memory, with answers forced or drawn by seed; every test audits the books.
 * Limit: one process plays all instances; the real stores pass the same contract in test/stores.
 */
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { type CommitResult, type Store, StoreUnavailable } from "../../service/stores/store.ts";
import { audit } from "./books.ts";
import {
  ask,
  budget,
  codeOf,
  DAY,
  declined,
  forward,
  issued,
  LEASE,
  ledgerOn,
  makeWorld,
  NOON,
  ownKey,
  paid,
  sdkKey,
  send,
  timedOut,
  type WorldOptions,
} from "./fixture.ts";

const USD = 1_000_000;
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const turns = async (count: number) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
};

async function bench(options: WorldOptions = {}, over: Parameters<typeof issued>[1] = {}) {
  const world = makeWorld(options);
  const { keyId } = await issued(world.ledger, over);
  onTestFinished(async () => {
    world.store.plan(null);
    await audit(world.store, keyId);
  });
  const state = async () => (await world.ledger.fresh(keyId))!;
  return { ...world, keyId, state, audit: () => audit(world.store, keyId) };
}

/** The store with one of its calls made by somebody else. */
function withCall<Name extends "read" | "commit">(store: Store, name: Name, call: Store[Name]): Store {
  return new Proxy(store, {
    get(target, asked) {
      if (asked === name) return call;
      const value: unknown = Reflect.get(target, asked, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const withCommit = (store: Store, commit: Store["commit"]): Store => withCall(store, "commit", commit);

describe("exactness", () => {
  test("of any crowd on any number of proxies exactly ⌊cap ÷ amount⌋ calls are sent", async () => {
    const crowd = fc.record({
      seed: fc.nat(),
      instances: fc.integer({ min: 1, max: 4 }),
      calls: fc.integer({ min: 1, max: 60 }),
      amount: fc.integer({ min: 1, max: 9 }),
      cap: fc.integer({ min: 0, max: 300 }),
    });
    const property = fc.asyncProperty(crowd, async ({ seed, instances, calls, amount, cap }) => {
      const faults = { conflict: 0.1, doubt: 0.1, turns: 4 };
      const { ledgers, store } = makeWorld({ seed, instances, faults });
      const { keyId } = await issued(ledgers[0]!, { capMicros: cap });
      const codes = await Promise.all(
        many(calls, (i) => codeOf(ledgers[i % instances]!.reserve(keyId, ask({ quoteMicros: amount })))),
      );
      expect(codes.filter((code) => code === null)).toHaveLength(Math.min(calls, Math.floor(cap / amount)));
      expect(codes.filter((code) => code !== null && code !== "cap_exhausted")).toEqual([]);
      await audit(store, keyId);
    });
    await fc.assert(property, { seed: 20261122, numRuns: 200 });
  });

  test("64 calls at once of one identity, on four proxies with faults, are one send", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const b = await bench({ seed, instances: 4, faults: { conflict: 0.1, doubt: 0.1, turns: 4 } });
      const request = ask({ task: 1, attempt: 0, clientKey: sdkKey("random") });
      const codes = await Promise.all(many(64, (i) => codeOf(b.ledgers[i % 4]!.reserve(b.keyId, request))));
      expect(codes.filter((code) => code === null)).toHaveLength(1);
      expect(codes.filter((code) => code === "in_progress")).toHaveLength(63);
    }
  });

  test("64 issues at once on four proxies with faults are one key, and one of them has created it", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const { ledgers, store } = makeWorld({ seed, instances: 4, faults: { conflict: 0.1, doubt: 0.3, turns: 4 } });
      const answers = await Promise.all(many(64, (i) => ledgers[i % 4]!.issue(budget())));
      expect(new Set(answers.map(({ key }) => `${key.keyId} ${key.salt}`)).size).toBe(1);
      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      await audit(store, answers[0]!.key.keyId);
    }
  });

  test("an issue whose answer is lost has created the key, also when somebody used the key before the re-read", async () => {
    const { store, clock, ledger: other } = makeWorld();
    const slow = withCommit(store, async (keyId, commit) => {
      await store.commit(keyId, commit);
      await forward(other, keyId, ask());
      return { kind: "doubt" };
    });
    expect((await ledgerOn(slow, clock, 5).issue(budget())).created).toBe(true);
  });

  test("another budget under the label is a conflict, and a revoked or expired label is retired", async () => {
    const { ledger, clock } = makeWorld();
    const { keyId } = await issued(ledger);
    expect(await codeOf(ledger.issue(budget({ asked: "more" })))).toBe("label_conflict");
    expect((await issued(ledger, { owner: "another" })).keyId).not.toBe(keyId);
    await ledger.act(keyId, { act: "revoke", by: "op", reason: "stop" });
    expect(await codeOf(ledger.issue(budget()))).toBe("label_retired");
    clock.time = NOON + DAY;
    expect(await codeOf(ledger.issue(budget({ owner: "another" })))).toBe("label_retired");
  });
});

describe("one commit for many", () => {
  test("at most one commit of a key is in flight, it takes what arrived meanwhile, and at most 200 calls", async () => {
    const { store, clock } = makeWorld({ faults: { turns: 4 } });
    const commits: number[] = [];
    let inFlight = 0;
    const watched = withCommit(store, async (keyId, commit) => {
      inFlight += 1;
      expect(inFlight).toBe(1);
      commits.push(commit.writes.length);
      const result = await store.commit(keyId, commit);
      inFlight -= 1;
      return result;
    });
    const ledger = ledgerOn(watched, clock, 3);
    const { keyId } = await issued(ledger, { capMicros: 2_000 * USD });
    await Promise.all(many(1_000, () => forward(ledger, keyId, ask())));
    expect(commits.slice(1)).toEqual([200, 200, 200, 200, 200]);
    await audit(store, keyId);
  });

  test("a commit holds at most about 4 MiB of sealed answers", async () => {
    const { store, clock } = makeWorld();
    const sizes: number[] = [];
    const watched = withCommit(store, (keyId, commit) => {
      sizes.push(JSON.stringify(commit).length);
      return store.commit(keyId, commit);
    });
    const ledger = ledgerOn(watched, clock, 3);
    const { keyId } = await issued(ledger);
    const sent = await Promise.all(many(12, () => forward(ledger, keyId, ask())));
    const receipt = "x".repeat(1 << 20);
    await Promise.all(sent.map(({ call }) => ledger.finish(keyId, call.id, 1, paid(USD, { receipt }))));
    expect(Math.max(...sizes)).toBeLessThan(5.5 * (1 << 20));
    expect(sizes.length).toBeGreaterThanOrEqual(5);
    await audit(store, keyId);
  });

  test("nor of the facts for look-ups, when 200 calls end unknown or are given up at once", async () => {
    const { store, clock } = makeWorld();
    const sizes: number[] = [];
    const watched = withCommit(store, (keyId, commit) => {
      sizes.push(JSON.stringify(commit).length);
      return store.commit(keyId, commit);
    });
    const ledger = ledgerOn(watched, clock, 3);
    const { keyId } = await issued(ledger, { capMicros: 400 * USD });
    const lookup = "x".repeat(87_500);
    const sent = await Promise.all(many(400, () => forward(ledger, keyId, ask({ lookup }))));
    await Promise.all(sent.slice(0, 200).map(({ call }) => ledger.finish(keyId, call.id, 1, timedOut)));
    await Promise.all(sent.slice(200).map(({ call }) => ledger.lose(call, "shutdown")));
    expect((await ledger.fresh(keyId))?.counts.unknown).toBe(400);
    expect(Math.max(...sizes)).toBeLessThan(5.5 * (1 << 20));
    await audit(store, keyId);
  });

  test("settles and releases go first: a reserve of the same commit has the room that they give back", async () => {
    const b = await bench({}, { capMicros: USD });
    const { call } = await forward(b.ledger, b.keyId, ask());
    const [reserved] = await Promise.all([
      codeOf(b.ledger.reserve(b.keyId, ask())),
      b.ledger.finish(b.keyId, call.id, 1, declined),
    ]);
    expect(reserved).toBeNull();
  });

  test("reserves are decided in the order of their arrival", async () => {
    const b = await bench({}, { capMicros: 10 });
    const codes = await Promise.all(
      [6, 6, 4, 1].map((quoteMicros) => codeOf(b.ledger.reserve(b.keyId, ask({ quoteMicros })))),
    );
    expect(codes).toEqual([null, "cap_exhausted", null, "cap_exhausted"]);
  });

  test("what fails in a commit fails alone", async () => {
    const b = await bench({}, { capMicros: 3 * USD });
    await send(b.ledger, b.keyId, ask({ clientKey: ownKey("taken") }), paid(USD));
    const codes = await Promise.all([
      codeOf(b.ledger.reserve(b.keyId, ask())),
      codeOf(b.ledger.finish(b.keyId, "call_that_never_was", 1, paid(USD))),
      codeOf(b.ledger.reserve(b.keyId, ask({ quoteMicros: 9 * USD }))),
      codeOf(b.ledger.reserve(b.keyId, ask({ clientKey: ownKey("taken"), canonical: "another" }))),
      codeOf(b.ledger.act(b.keyId, { act: "raise", capMicros: 1, by: "op" })),
      codeOf(b.ledger.reserve(b.keyId, ask())),
    ]);
    expect(codes).toEqual([
      null,
      "ledger_unavailable",
      "cap_exhausted",
      "idempotency_mismatch",
      "request_invalid",
      null,
    ]);
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: 2 * USD });
  });

  test("10,000 reserves may wait; the next one is refused as overloaded, and a settle is not", async () => {
    const b = await bench({}, { capMicros: 1 });
    const { call } = await forward(b.ledger, b.keyId, ask({ quoteMicros: 1 }));
    const waiting = many(10_000, () => codeOf(b.ledger.reserve(b.keyId, ask())));
    const over = codeOf(b.ledger.reserve(b.keyId, ask()));
    const settle = b.ledger.finish(b.keyId, call.id, 1, paid(1));
    expect(await over).toBe("overloaded");
    expect((await settle).state).toBe("settled");
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(["cap_exhausted"]));
  });
});

describe("answers of the store", () => {
  test.each(["doubt_applied", "doubt_lost", "conflict"] as const)(
    "%s: every kind of write is counted once",
    async (fault) => {
      const b = await bench();
      b.store.force(fault, fault);
      const { call } = await forward(b.ledger, b.keyId, ask());
      b.store.force(fault, fault);
      await b.ledger.finish(b.keyId, call.id, 1, paid(USD));
      b.store.force(fault);
      const lost = await send(b.ledger, b.keyId, ask({ task: 1, attempt: 0 }), timedOut);
      b.store.force(fault);
      await b.ledger.settleByHand(lost.call, USD, "op", "seen");
      b.store.force(fault);
      await b.ledger.reserve(b.keyId, ask({ task: 1, attempt: 1 }));
      b.store.force(fault);
      await b.ledger.act(b.keyId, { act: "pause", by: "op", reason: "look" });
      b.store.force(fault);
      expect(await codeOf(b.ledger.reserve(b.keyId, ask()))).toBe("key_paused");
      const { key, calls } = await b.audit();
      expect(key).toMatchObject({
        spentMicros: 2 * USD,
        reservedMicros: 0,
        refusals: { key_paused: 1 },
        refusalRows: 1,
      });
      expect(key.counts).toEqual({ calls: 2, reserved: 0, settled: 2, released: 0, unknown: 0 });
      expect(calls.find(({ id }) => id === lost.call.id)?.consumedBy).toHaveLength(2);
    },
  );

  test("a commit whose answer was lost counts once though another proxy wrote before the re-read", async () => {
    const b = await bench({ instances: 2 });
    let doubts = 1;
    const slow = withCommit(b.store, async (keyId, commit) => {
      const result = await b.store.commit(keyId, commit);
      if (doubts-- <= 0) return result;
      await forward(b.ledgers[1]!, keyId, ask());
      return { kind: "doubt" };
    });
    await forward(ledgerOn(slow, b.clock, 7), b.keyId, ask());
    expect(await b.state()).toMatchObject({ reservedMicros: 2 * USD, counts: { calls: 2 } });
  });

  test("it counts once even though the other proxy has moved the very call of the commit", async () => {
    const b = await bench({ instances: 2 });
    let doubts = 1;
    const slow = withCommit(b.store, async (keyId, commit) => {
      const result = await b.store.commit(keyId, commit);
      if (doubts-- <= 0) return result;
      for (const { id } of commit.writes) await b.ledgers[1]!.lose((await b.store.findCall(id.slice(2)))!, "lost");
      return { kind: "doubt" };
    });
    await forward(ledgerOn(slow, b.clock, 7), b.keyId, ask());
    expect(await b.state()).toMatchObject({ reservedMicros: USD, counts: { calls: 1, unknown: 1 } });
  });

  test("a commit whose answer was lost is made again when another proxy's took its place", async () => {
    const b = await bench({ instances: 2 });
    let doubts = 1;
    const slow = withCommit(b.store, async (keyId, commit) => {
      if (doubts-- <= 0) return b.store.commit(keyId, commit);
      await forward(b.ledgers[1]!, keyId, ask());
      return { kind: "doubt" };
    });
    await forward(ledgerOn(slow, b.clock, 7), b.keyId, ask());
    expect(await b.state()).toMatchObject({ reservedMicros: 2 * USD, counts: { calls: 2 } });
  });

  test("a commit that lands only after it was looked for counts once", async () => {
    const b = await bench();
    let delayed: (() => Promise<CommitResult>) | null = null;
    let first = true;
    const slow = withCommit(b.store, async (keyId, commit) => {
      if (first) {
        first = false;
        delayed = () => b.store.commit(keyId, commit);
        return { kind: "doubt" };
      }
      await delayed?.();
      delayed = null;
      return b.store.commit(keyId, commit);
    });
    const request = ask({ task: 1, attempt: 0 });
    const { call } = await forward(ledgerOn(slow, b.clock, 7), b.keyId, request);
    expect(await b.state()).toMatchObject({ reservedMicros: USD, counts: { calls: 1 } });
    expect((await b.store.findCall(call.id))?.sends).toBe(1);
  });

  test("no reservation can commit on a state from before a revoke by another proxy", async () => {
    const b = await bench({ instances: 2 });
    await forward(b.ledger, b.keyId, ask());
    await b.ledgers[1]!.act(b.keyId, { act: "revoke", by: "op", reason: "stop" });
    expect(b.ledger.peek(b.keyId)?.status).toBe("active");
    expect(await codeOf(b.ledger.reserve(b.keyId, ask()))).toBe("key_revoked");
  });

  test("a store that cannot be written is 503 for all that wait, nothing is counted, and the next request works", async () => {
    const b = await bench();
    b.store.force("unavailable");
    const codes = await Promise.all(many(5, () => codeOf(b.ledger.reserve(b.keyId, ask()))));
    expect(codes).toEqual(many(5, () => "ledger_unavailable"));
    expect((await b.state()).counts.calls).toBe(0);
    expect(await codeOf(b.ledger.reserve(b.keyId, ask()))).toBeNull();
  });

  test("a store that cannot be read is 503 for look-ups, and an unknown key is 503 for calls", async () => {
    const b = await bench();
    b.store.plan({ seed: 1, readUnavailable: 1 });
    for (const look of [
      b.ledger.fresh(b.keyId),
      b.ledger.receipt(b.keyId, "call_x"),
      ledgerOn(b.store, b.clock, 8).key(b.keyId),
    ]) {
      expect(await codeOf(look)).toBe("ledger_unavailable");
    }
    b.store.plan(null);
    expect(await b.ledger.key("nobody")).toBeNull();
    expect(await codeOf(b.ledger.reserve("nobody", ask()))).toBe("ledger_unavailable");
  });

  test("when the answer is lost and the store then fails, the call is refused, and its repeat holds the same money", async () => {
    const b = await bench();
    const request = ask({ clientKey: ownKey("invoice 17") });
    b.store.force("doubt_applied");
    b.store.plan({ seed: 1, readUnavailable: 1 });
    expect(await codeOf(b.ledger.reserve(b.keyId, request))).toBe("ledger_unavailable");
    b.store.plan(null);
    expect(await codeOf(b.ledger.reserve(b.keyId, request))).toBe("in_progress");
    b.clock.time += LEASE;
    await send(b.ledger, b.keyId, request, paid(USD));
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: 0 });
  });

  test("a reservation whose answer was lost is answered though the store cannot be read a second time", async () => {
    const b = await bench();
    let reads = 0;
    const failing = withCall(b.store, "read", async (keyId, ids) => {
      reads += 1;
      if (reads > 2) throw new StoreUnavailable("gone");
      return b.store.read(keyId, ids);
    });
    b.store.force("doubt_applied");
    expect(await codeOf(ledgerOn(failing, b.clock, 4).reserve(b.keyId, ask()))).toBeNull();
  });

  test("an outcome that cannot be written is retried until it lands, once", async () => {
    const b = await bench();
    const { call } = await forward(b.ledger, b.keyId, ask());
    b.store.plan({ seed: 3, unavailable: 0.6, doubt: 0.5, readUnavailable: 0.5, turns: 3 });
    b.ledger.finishLater(b.keyId, call.id, 1, paid(USD));
    for (let turn = 0; turn < 200; turn += 1) await turns(1);
    b.store.plan(null);
    await turns(20);
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: 0 });
  });

  test("endless conflicts end with 503 after the deadline, and nothing is counted", async () => {
    const b = await bench();
    b.clock.delaysMove = true;
    b.store.plan({ seed: 1, conflict: 1 });
    expect(await codeOf(b.ledger.reserve(b.keyId, ask()))).toBe("ledger_unavailable");
    expect(b.clock.time - NOON).toBeGreaterThan(10_000);
    b.store.plan(null);
    expect((await b.state()).counts.calls).toBe(0);
  });
});

describe("the cache", () => {
  test("3,000 settled calls are more than it holds, and each repeat still finds its own", async () => {
    const b = await bench({ instances: 2 }, { capMicros: 3_000 });
    const request = (i: number) => ask({ clientKey: ownKey(`invoice ${i}`), quoteMicros: 1 });
    const sent = await Promise.all(many(3_000, (i) => forward(b.ledger, b.keyId, request(i))));
    await Promise.all(sent.map(({ call }) => b.ledger.finish(b.keyId, call.id, 1, paid(1))));
    for (const ledger of b.ledgers) {
      const again = await Promise.all(many(3_000, (i) => ledger.reserve(b.keyId, request(i))));
      expect(again.every(({ kind, call }, i) => kind === "repeat" && call.id === sent[i]!.call.id)).toBe(true);
    }
  });

  test("100 tasks that come back at once, and together read more documents than it holds, are all answered", async () => {
    const b = await bench({ instances: 2 }, { capMicros: 2_000 });
    const request = (task: number, attempt: number, n: number) =>
      ask({ task, attempt, clientKey: sdkKey(`random ${task} ${attempt} ${n}`), quoteMicros: 1 });
    const sent = await Promise.all(many(2_000, (i) => forward(b.ledger, b.keyId, request(i % 100, 0, i))));
    await Promise.all(sent.map(({ call }) => b.ledger.finish(b.keyId, call.id, 1, paid(1))));
    const again = await Promise.all(many(100, (task) => b.ledgers[1]!.reserve(b.keyId, request(task, 1, 0))));
    expect(again.map(({ kind }) => kind)).toEqual(many(100, () => "repeat"));
  });

  test("1,100 keys are more than are held, and every one goes on where it was", async () => {
    const { ledger, store } = makeWorld();
    const keys = await Promise.all(many(1_100, (i) => issued(ledger, { label: `run ${i}`, capMicros: 2 * USD })));
    const crowd = () => Promise.all(keys.map(({ keyId }) => codeOf(ledger.reserve(keyId, ask()))));
    expect([...(await crowd()), ...(await crowd())].filter((code) => code !== null)).toEqual([]);
    expect(new Set(await crowd())).toEqual(new Set(["cap_exhausted"]));
    for (const { keyId } of keys.slice(0, 20)) await audit(store, keyId);
  });

  test("a state that was read before a commit does not take the place of the commit's", async () => {
    const b = await bench();
    const slow = withCall(b.store, "read", async (keyId, ids) => {
      const snapshot = await b.store.read(keyId, ids);
      await turns(10);
      return snapshot;
    });
    const ledger = ledgerOn(slow, b.clock, 6);
    await forward(ledger, b.keyId, ask());
    const read = ledger.fresh(b.keyId);
    await ledger.act(b.keyId, { act: "revoke", by: "op", reason: "stop" });
    expect((await read)?.status).toBe("active");
    expect(ledger.peek(b.keyId)?.status).toBe("revoked");
  });
});

describe("a process that ends", () => {
  const openCalls = async (ledger: Ledger, keyId: string) => {
    const [sending, settled, unknown] = await Promise.all(many(3, () => forward(ledger, keyId, ask())));
    await ledger.finish(keyId, settled!.call.id, 1, paid(USD));
    await ledger.finish(keyId, unknown!.call.id, 1, timedOut);
    return sending!.call;
  };

  test("at the start of the next one every call that was reserved is unknown, and nothing else has changed", async () => {
    const b = await bench({ exclusive: true });
    const sending = await openCalls(b.ledger, b.keyId);
    const next = ledgerOn(b.store, b.clock, 9);
    expect(await next.recover()).toBe(1);
    expect(await b.store.findCall(sending.id)).toMatchObject({
      state: "unknown",
      code: "restart",
      reservedMicros: USD,
    });
    expect((await next.fresh(b.keyId))!.counts).toMatchObject({ reserved: 0, settled: 1, unknown: 2 });
    expect(await next.recover()).toBe(0);
  });

  test("1,200 calls left by a dead process are more than one page, and all are found", async () => {
    const b = await bench({ exclusive: true }, { capMicros: 2_000 * USD });
    await Promise.all(many(1_200, () => forward(b.ledger, b.keyId, ask())));
    expect(await ledgerOn(b.store, b.clock, 9).recover()).toBe(1_200);
  });

  test("where other processes use the store a start changes nothing", async () => {
    const b = await bench();
    const sending = await openCalls(b.ledger, b.keyId);
    expect(await ledgerOn(b.store, b.clock, 9).recover()).toBe(0);
    expect((await b.store.findCall(sending.id))?.state).toBe("reserved");
  });

  test("drain takes no new call, waits for those that are being sent, and makes the rest unknown", async () => {
    const b = await bench();
    b.clock.delaysMove = true;
    const [quick, slow] = await Promise.all(many(2, () => forward(b.ledger, b.keyId, ask())));
    const drained = b.ledger.drain(1_000);
    expect(await codeOf(b.ledger.reserve(b.keyId, ask()))).toBe("overloaded");
    await b.ledger.finish(b.keyId, quick!.call.id, 1, paid(USD));
    await drained;
    expect(b.clock.time - NOON).toBeGreaterThanOrEqual(1_000);
    expect(await b.store.findCall(slow!.call.id)).toMatchObject({ state: "unknown", code: "shutdown" });
    expect(await b.state()).toMatchObject({ spentMicros: USD, reservedMicros: USD });
  });

  test("drain sees a call whose reservation was still waiting for the store", async () => {
    const b = await bench({ faults: { turns: 6 } });
    const reserving = b.ledger.reserve(b.keyId, ask());
    b.clock.delaysMove = true;
    await b.ledger.drain(100);
    const { call } = await reserving;
    expect((await b.store.findCall(call.id))?.state).toBe("unknown");
  });
});
