/**
 * Goal: the in-memory store keeps the contract, and its faults are what they say: a commit that fails wrote nothing, a
 * doubtful one wrote all or nothing, one seed gives one run.
 * Method: the contract suite, then runs of many commits with faults drawn by seed. Limit: the faults are those we know of.
 */
import { describe, expect, test } from "vitest";
import { type FaultPlan, seededFloat } from "../../service/stores/faults.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { type CommitResult, StoreUnavailable } from "../../service/stores/store.ts";
import { storeContract } from "./contract.ts";
import { create, KeyWriter, START, sampleCall } from "./samples.ts";

function contractStore(faults?: FaultPlan) {
  let now = START;
  const store = new MemoryStore({ clock: { now: () => now }, ...(faults ? { faults } : {}) });
  return {
    store,
    setTime: (ms: number) => {
      now = ms;
    },
  };
}

storeContract("memory", async () => contractStore());
storeContract("memory with delays", async () => contractStore({ seed: 3, turns: 6 }));

const clock = { now: () => START };
const plan = { conflict: 0.2, doubt: 0.3, unavailable: 0.2, readUnavailable: 0.1, turns: 4 };

/** 60 commits, each retried at the version that the store has. @returns what was seen, in order. */
async function story(seed: number): Promise<string[]> {
  const store = new MemoryStore({ clock, faults: { ...plan, seed } });
  const seen: string[] = [];
  const writer = async (keyId: string) => {
    const key = new KeyWriter(store, keyId);
    for (let n = 0; n < 30; n += 1) {
      const result: CommitResult | Error = await store
        .commit(keyId, key.next([create(sampleCall(`${keyId}-${n}`))]))
        .catch((error: Error) => error);
      seen.push(`${keyId} ${result instanceof Error ? result.name : result.kind}`);
      const snapshot = await store.read(keyId, []).catch(() => null);
      if (snapshot) Object.assign(key, snapshot);
    }
  };
  await Promise.all([writer("k1"), writer("k2")]);
  return seen;
}

describe("injected faults", () => {
  test("are the same for one seed, and others for another", async () => {
    expect(await story(1)).toEqual(await story(1));
    expect(await story(1)).not.toEqual(await story(2));
  });

  test("of each kind come, and a commit that failed wrote nothing while a doubtful one wrote all or nothing", async () => {
    const store = new MemoryStore({ clock, faults: { seed: 11, conflict: 0.2, doubt: 0.3, unavailable: 0.2 } });
    const key = new KeyWriter(store, "k1");
    const seen = new Map<string, number>();
    for (let n = 0; n < 300; n += 1) {
      const commit = key.next([create(sampleCall(`c${n}`))]);
      const result = await store.commit("k1", commit).catch((error: Error) => error);
      const after = await store.read("k1", [`c:c${n}`]);
      const applied = after !== null && after.version !== key.version;
      expect(after?.docs.size ?? 0).toBe(applied ? 1 : 0);
      const kind =
        result instanceof StoreUnavailable ? "unavailable" : result instanceof Error ? result.name : result.kind;
      seen.set(`${kind} ${applied}`, (seen.get(`${kind} ${applied}`) ?? 0) + 1);
      if (applied) Object.assign(key, { version: after.version, state: after.state });
    }
    const kinds = ["committed true", "conflict false", "doubt false", "doubt true", "unavailable false"];
    expect([...seen.keys()].sort()).toEqual(kinds);
    for (const kind of kinds) expect(seen.get(kind), kind).toBeGreaterThan(15);
  });

  test("of records come too: some are written though the answer is lost", async () => {
    const store = new MemoryStore({ clock, faults: { seed: 5, conflict: 0.2, doubt: 0.3, unavailable: 0.2 } });
    const seen = new Map<string, number>();
    for (let n = 0; n < 300; n += 1) {
      const write = { kind: "run" as const, name: `r${n}`, doc: { n }, version: null, expiresAt: null };
      const result = await store.putRecord(write).catch((error: Error) => error);
      const written = (await store.record("run", `r${n}`)) !== null;
      const kind = result instanceof StoreUnavailable ? "unavailable" : result === null ? "conflict" : "written";
      seen.set(`${kind} ${written}`, (seen.get(`${kind} ${written}`) ?? 0) + 1);
    }
    const kinds = ["conflict false", "unavailable false", "unavailable true", "written true"];
    expect([...seen.keys()].sort()).toEqual(kinds);
    for (const kind of kinds) expect(seen.get(kind), kind).toBeGreaterThan(15);
  });

  test("of records can be asked for one by one", async () => {
    const store = new MemoryStore({ clock });
    const write = (name: string) =>
      store.putRecord({ kind: "run", name, doc: { name }, version: null, expiresAt: null });
    store.forceRecords("lost", "unavailable", "conflict");
    await expect(write("lost")).rejects.toThrow(StoreUnavailable);
    await expect(write("away")).rejects.toThrow(StoreUnavailable);
    expect(await write("taken")).toBeNull();
    expect((await store.listRecords("run", 10, null)).items.map((each) => each.name)).toEqual(["lost"]);
  });

  test("can be asked for one by one, and turned off", async () => {
    const store = new MemoryStore({ clock });
    const key = new KeyWriter(store, "k1");
    store.force("doubt_applied", "unavailable", "conflict", "doubt_lost");
    expect(await store.commit("k1", key.next([]))).toEqual({ kind: "doubt" });
    key.version = (await store.read("k1", []))?.version ?? null;
    expect(key.version).not.toBeNull();
    await expect(store.commit("k1", key.next([]))).rejects.toThrow(StoreUnavailable);
    expect(await store.commit("k1", key.next([]))).toEqual({ kind: "conflict" });
    expect(await store.commit("k1", key.next([]))).toEqual({ kind: "doubt" });
    store.plan({ seed: 1, unavailable: 1, readUnavailable: 1 });
    await expect(key.write()).rejects.toThrow(StoreUnavailable);
    await expect(store.listCalls({}, 1, null)).rejects.toThrow(StoreUnavailable);
    store.plan(null);
    await key.write();
  });

  test("come from numbers spread evenly over [0, 1)", () => {
    const float = seededFloat(5);
    const tenths = new Array<number>(10).fill(0);
    for (let n = 0; n < 10_000; n += 1) tenths[Math.floor(float() * 10)]! += 1;
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});
