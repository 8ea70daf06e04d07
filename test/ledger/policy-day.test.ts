/**
 * Goal: of one policy never more is issued in a UTC day than it may, however many ask at once on however many proxies, and whatever
 * the store answers; what is counted is exactly the keys that exist. Method: crowds of issues on ledgers over the store in memory,
 * with faults by seed; the record of the day is compared with the keys in the store.
 * Limit: one process plays all proxies; that the real stores write a commit's records whole is in test/stores/contract-records.ts.
 */
import { describe, expect, test } from "vitest";
import { Refusal } from "../../service/errors.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import type { Store } from "../../service/stores/store.ts";
import { budget, codeOf, DAY, HOUR, ledgerOn, ManualClock, makeWorld, NOON } from "./fixture.ts";

const USD = 1_000_000;
const day = { policy: "nightly", limitMicros: 500 * USD };
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const asked = (label: string, dollars: number, over: Parameters<typeof budget>[0] = {}) =>
  budget({ label, capMicros: dollars * USD, owner: "policy:nightly", day, ...over });

async function counted(store: Store, name = "nightly:2026-11-22") {
  return (await store.record("policy_day", name))?.doc ?? null;
}

/** What the keys in the store add up to. */
async function issuedOf(store: Store) {
  const { items } = await store.listKeys({ owner: "policy:nightly" }, 1_000, null);
  return { issued_micros: items.reduce((sum, key) => sum + key.capMicros!, 0), keys: items.length };
}

describe("a day's sum", () => {
  test("is counted key by key, up to the last cent, and what is over it is refused with what is left", async () => {
    const { ledger, store } = makeWorld();
    await ledger.issue(asked("a", 200));
    await ledger.issue(asked("b", 200));
    const over = ledger.issue(asked("c", 100.000001));
    await expect(over).rejects.toThrow(Refusal);
    await expect(over).rejects.toThrow(
      /policy_denied.*`nightly` may issue keys of \$500\.00 .*2026-11-22 \$100\.00 is left; this key counts \$100\.000001/,
    );
    await ledger.issue(asked("d", 100));
    expect(await codeOf(ledger.issue(asked("e", 0.000001)))).toBe("policy_denied");
    expect(await counted(store)).toEqual({ issued_micros: 500 * USD, keys: 3 });
  });

  test("is not counted twice for a label that has its key, not even when the sum is reached", async () => {
    const { ledger, store } = makeWorld();
    const first = await ledger.issue(asked("a", 500));
    const again = await ledger.issue(asked("a", 500));
    expect([first.created, again.created, again.key.keyId]).toEqual([true, false, first.key.keyId]);
    expect(await codeOf(ledger.issue(asked("a", 500, { asked: "more" })))).toBe("label_conflict");
    expect(await counted(store)).toEqual({ issued_micros: 500 * USD, keys: 1 });
  });

  test("is the day's: the next one begins at midnight, UTC", async () => {
    const { ledger, store, clock } = makeWorld();
    await ledger.issue(asked("a", 500));
    clock.time = NOON + 12 * HOUR - 1;
    expect(await codeOf(ledger.issue(asked("b", 500, { expiresAt: NOON + 2 * DAY })))).toBe("policy_denied");
    clock.time += 1;
    await ledger.issue(asked("b", 500, { expiresAt: NOON + 2 * DAY }));
    expect(await counted(store)).toEqual({ issued_micros: 500 * USD, keys: 1 });
    expect(await counted(store, "nightly:2026-11-23")).toEqual({ issued_micros: 500 * USD, keys: 1 });
  });

  test("is each policy's own, and keys that no policy bounds are in none", async () => {
    const { ledger, store } = makeWorld();
    await ledger.issue(asked("a", 500));
    await ledger.issue(asked("b", 500, { owner: "policy:other", day: { ...day, policy: "other" } }));
    await ledger.issue(budget({ label: "c", capMicros: 10_000 * USD }));
    expect((await store.listRecords("policy_day", 10, null)).items.map(({ name }) => name)).toEqual([
      "nightly:2026-11-22",
      "other:2026-11-22",
    ]);
  });

  test.each([
    [
      "a lifetime cap as it is, whatever the daily one",
      { capMicros: 90, dailyCapMicros: 50, expiresAt: NOON + 3 * DAY },
      90,
    ],
    ["a daily cap for each day of the life", { capMicros: null, dailyCapMicros: 50, expiresAt: NOON + 3 * DAY }, 150],
    ["a begun day as a whole one", { capMicros: null, dailyCapMicros: 50, expiresAt: NOON + 2 * DAY + 1 }, 150],
  ])("takes %s", async (_what, over, micros) => {
    const { ledger, store } = makeWorld();
    await ledger.issue(asked("a", 0, over));
    expect(await counted(store)).toEqual({ issued_micros: micros, keys: 1 });
  });

  test("that cannot be read issues nothing", async () => {
    const { ledger, store } = makeWorld();
    const doc = { issued_micros: "12", keys: 1 };
    await store.putRecord({ kind: "policy_day", name: "nightly:2026-11-22", doc, version: null, expiresAt: null });
    await expect(ledger.issue(asked("a", 1))).rejects.toThrow(/policy_day nightly:2026-11-22 is damaged/);
    expect((await issuedOf(store)).keys).toBe(0);
  });
});

describe("64 issues at once", () => {
  test("on four proxies over a store that loses answers never exceed it, and the sum is that of the keys", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const faults = { conflict: 0.1, doubt: 0.2, unavailable: 0.05, turns: 4 };
      const { ledgers, store } = makeWorld({ seed, instances: 4, faults });
      const codes = await Promise.all(many(64, (i) => codeOf(ledgers[i % 4]!.issue(asked(`run ${i}`, 20)))));
      store.plan(null);
      const sum = await issuedOf(store);
      expect(sum.issued_micros).toBeLessThanOrEqual(500 * USD);
      expect(await counted(store)).toEqual(sum);
      expect(codes.filter((code) => code === null).length).toBeLessThanOrEqual(sum.keys);
      expect([...new Set(codes)].filter((code) => code !== null && code !== "ledger_unavailable")).toEqual([
        "policy_denied",
      ]);
    }
  });

  test.each([1, 4, 16])(
    "on %i proxies over a sound store give exactly as many keys as the sum holds",
    async (instances) => {
      const { ledgers, store } = makeWorld({ instances, faults: { turns: 4 } });
      const codes = await Promise.all(many(64, (i) => codeOf(ledgers[i % instances]!.issue(asked(`run ${i}`, 20)))));
      expect(codes.filter((code) => code === null)).toHaveLength(25);
      expect(codes.filter((code) => code === "policy_denied")).toHaveLength(39);
      expect(await counted(store)).toEqual({ issued_micros: 500 * USD, keys: 25 });
    },
  );

  test("that the sum holds all get their keys, on every store", async () => {
    const clock = new ManualClock();
    const sqlite = await openSqliteStore({ path: ":memory:", worker: false, clock });
    for (const store of [new MemoryStore({ clock, faults: { seed: 1, turns: 4 } }), sqlite]) {
      const ledgers = many(64, (i) => ledgerOn(store, clock, i));
      const answers = await Promise.all(ledgers.map((ledger, i) => ledger.issue(asked(`run ${i}`, 5))));
      expect(answers.every(({ created }) => created)).toBe(true);
      expect(await counted(store)).toEqual({ issued_micros: 320 * USD, keys: 64 });
    }
    await sqlite.close();
  });

  test("of one label are one key, counted once", async () => {
    for (let seed = 1; seed <= 5; seed += 1) {
      const { ledgers, store } = makeWorld({ seed, instances: 4, faults: { conflict: 0.1, doubt: 0.3, turns: 4 } });
      const answers = await Promise.all(many(64, (i) => ledgers[i % 4]!.issue(asked("one", 500))));
      expect(new Set(answers.map(({ key }) => key.salt)).size).toBe(1);
      expect(answers.filter(({ created }) => created)).toHaveLength(1);
      expect(await counted(store)).toEqual({ issued_micros: 500 * USD, keys: 1 });
    }
  });

  test("in one proxy do not meet each other: no commit of theirs conflicts", async () => {
    const { ledger, store } = makeWorld({ faults: { turns: 4 } });
    const results: string[] = [];
    const commit = store.commit.bind(store);
    store.commit = async (...args) => {
      const result = await commit(...args);
      results.push(result.kind);
      return result;
    };
    await Promise.all(many(64, (i) => ledger.issue(asked(`run ${i}`, 5))));
    expect(results).toEqual(many(64, () => "committed"));
  });
});

describe("what a policy granted less of", () => {
  test("is kept with the key, and is absent when there is nothing", async () => {
    const { ledger, store } = makeWorld();
    const less = await ledger.issue(budget({ label: "less", reduced: ["usd_cap", "expires_in"] }));
    const all = await ledger.issue(budget({ label: "all", reduced: [] }));
    expect((await store.read(less.key.keyId, []))?.state.reduced).toEqual(["usd_cap", "expires_in"]);
    expect(Object.keys((await store.read(all.key.keyId, []))!.state)).not.toContain("reduced");
  });
});
