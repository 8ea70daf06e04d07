/**
 * Goal: a key and the execution that it was made for lead to each other, whatever the store answers in between, and a name leads
 * to one key only. Method: binds on ledgers over the store in memory, with the answers of commits forced one by one or drawn by seed.
 * Limit: that the real stores write a commit's records whole is in test/stores/contract-records.ts.
 */
import { describe, expect, test } from "vitest";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { createLogger } from "../../service/log.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { Store } from "../../service/stores/store.ts";
import { audit } from "./books.ts";
import { ask, budget, codeOf, forward, issued, ManualClock, makeWorld, paid, seededRandom } from "./fixture.ts";

const bind = (ledger: Ledger, keyId: string, execution: string) =>
  ledger.act(keyId, { act: "bind", execution, by: "setup" });
const aliasOf = async (store: Store, name: string) => (await store.record("execution", name))?.doc.key_id ?? null;

async function bindsOf(store: Store, keyId: string) {
  const { commits } = await audit(store, keyId);
  return commits.flat().filter(({ act }) => act === "bind");
}

describe("a bind", () => {
  test("sets the execution, chains who did it, and makes the name lead to the key", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger);
    expect((await bind(ledger, keyId, "nightly-x7k2p")).execution).toBe("nightly-x7k2p");
    expect((await store.read(keyId, []))?.state.execution).toBe("nightly-x7k2p");
    expect(await bindsOf(store, keyId)).toMatchObject([{ by: "setup", reason: "nightly-x7k2p", capMicros: null }]);
    expect(await aliasOf(store, "nightly-x7k2p")).toBe(keyId);
  });

  test("to the same execution again changes nothing, to another is refused", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger);
    await bind(ledger, keyId, "one");
    await bind(ledger, keyId, "one");
    expect(await codeOf(bind(ledger, keyId, "two"))).toBe("call_state");
    expect((await store.read(keyId, []))?.state.execution).toBe("one");
    expect(await bindsOf(store, keyId)).toHaveLength(1);
    expect(await aliasOf(store, "two")).toBeNull();
  });

  test("holds for a key that has ended: what its execution did is still found", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger);
    await ledger.act(keyId, { act: "revoke", by: "op", reason: "stop" });
    expect(await bind(ledger, keyId, "late")).toMatchObject({ status: "revoked", execution: "late" });
    expect(await aliasOf(store, "late")).toBe(keyId);
  });

  test("names the execution in the calls that follow", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger);
    const before = await forward(ledger, keyId, ask());
    await bind(ledger, keyId, "one");
    const after = await forward(ledger, keyId, ask({ canonical: "another" }));
    expect([before.call.execution, after.call.execution]).toEqual([null, "one"]);
    await ledger.finish(keyId, before.call.id, before.send, paid(1));
    await audit(store, keyId);
  });

  test("to a name that leads to another key holds, and the name stays the other's; the log says so", async () => {
    const lines: string[] = [];
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const log = createLogger({ write: (line) => lines.push(line) });
    const ledger = openLedger({ store, clock, random: seededRandom(1), log });
    const first = await issued(ledger, { label: "first", execution: "exec" });
    const second = await issued(ledger, { label: "second" });
    await bind(ledger, second.keyId, "exec");
    expect((await store.read(second.keyId, []))?.state.execution).toBe("exec");
    expect(await aliasOf(store, "exec")).toBe(first.keyId);
    expect(lines.filter((line) => line.includes("leads to another key already"))).toHaveLength(1);
  });

  test("shares its commit with calls, and neither is lost", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger);
    const [state, sent] = await Promise.all([bind(ledger, keyId, "one"), forward(ledger, keyId, ask())]);
    expect(state.execution).toBe("one");
    expect((await store.findCall(sent.call.id))?.state).toBe("reserved");
    expect(await aliasOf(store, "one")).toBe(keyId);
    await audit(store, keyId);
  });
});

describe("the name and the key", () => {
  test.each(["doubt_applied", "doubt_lost", "conflict", "unavailable"] as const)(
    "lead to each other or not at all after %s, and a bind again completes it",
    async (fault) => {
      const { ledger, store } = makeWorld();
      const { keyId } = await issued(ledger);
      store.force(fault);
      const code = await codeOf(bind(ledger, keyId, "one"));
      expect(code).toBe(fault === "unavailable" ? "ledger_unavailable" : null);
      const bound = (await store.read(keyId, []))?.state.execution === "one";
      expect(bound).toBe(code === null);
      expect(await aliasOf(store, "one")).toBe(bound ? keyId : null);
      await bind(ledger, keyId, "one");
      expect(await aliasOf(store, "one")).toBe(keyId);
      expect(await bindsOf(store, keyId)).toHaveLength(1);
    },
  );

  test("of an issue that names its execution are written together", async () => {
    const { ledger, store } = makeWorld();
    store.force("doubt_lost", "conflict", "doubt_applied");
    const { key, created } = await ledger.issue(budget({ label: "exec-1", execution: "exec-1" }));
    expect(created).toBe(true);
    expect(await aliasOf(store, "exec-1")).toBe(key.keyId);
    expect((await ledger.issue(budget({ label: "exec-1", execution: "exec-1" }))).created).toBe(false);
  });

  test("are all there after a crowd of keys wanted one name, and it leads to one of them", async () => {
    for (let seed = 1; seed <= 10; seed += 1) {
      const faults = { conflict: 0.1, doubt: 0.2, turns: 4 };
      const { ledgers, store } = makeWorld({ seed, instances: 4, faults });
      const pick = (i: number) => ledgers[i % 4]!;
      const labels = Array.from({ length: 12 }, (_, i) => i);
      const keys = await Promise.all(
        labels.map(async (i) => {
          const key = await issued(pick(i), { label: `run ${i}`, execution: i % 3 === 0 ? "one" : null });
          return bind(pick(i + 1), key.keyId, "one");
        }),
      );
      store.plan(null);
      expect(keys.map((key) => key.execution)).toEqual(labels.map(() => "one"));
      expect(keys.map((key) => key.keyId)).toContain(await aliasOf(store, "one"));
      for (const { keyId } of keys) await audit(store, keyId);
    }
  });

  test("of an execution that no record can be named after: the key has it, and no record is made", async () => {
    const { ledger, store } = makeWorld();
    const { keyId } = await issued(ledger, { execution: "a/b" });
    expect((await store.read(keyId, []))?.state.execution).toBe("a/b");
    expect((await store.listRecords("execution", 10, null)).items).toEqual([]);
  });
});
