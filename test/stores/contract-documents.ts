/** Part of the store contract: what becomes of documents, times, reads, receipts, settings. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { DocId } from "../../service/ledger/types.ts";
import { docAs, type Store, type Write } from "../../service/stores/store.ts";
import type { OpenedStore } from "./contract.ts";
import { create, KeyWriter, put, START, sampleCall, samplePage } from "./samples.ts";

export function documentContract(opened: () => OpenedStore): void {
  const store = () => opened().store;
  describe("a commit", () => {
    documents(store);
    times(opened);
  });
  describe("a read", () => reads(store));
  describe("receipts and settings", () => {
    receipts(opened);
    settings(store);
  });
}

function documents(store: () => Store): void {
  test("puts: a document that exists is replaced, one that does not is made", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([create(sampleCall("c1")), { op: "put", id: "o:x", doc: { callId: "c1" } }]);
    await key.write([
      put(sampleCall("c1", { state: "settled" })),
      put(sampleCall("c2")),
      { op: "put", id: "o:x", doc: { callId: "c2" } },
    ]);
    const docs = (await store().read("k1", ["c:c1", "c:c2", "o:x"]))?.docs ?? new Map();
    expect(docAs(docs, "c", "c1")?.state).toBe("settled");
    expect(docAs(docs, "c", "c2")?.state).toBe("reserved");
    expect(docAs(docs, "o", "x")).toEqual({ callId: "c2" });
  });

  test("deletes, also what is not there; a deleted id can be created again", async () => {
    const key = new KeyWriter(store(), "k1");
    const ids: DocId[] = ["c:c1", "a:x", "r:c1", "u:m"];
    const writes: Write[] = [
      create(sampleCall("c1")),
      { op: "create", id: "a:x", doc: { callId: "c1" } },
      { op: "create", id: "r:c1", doc: { sealed: "s", expiresAt: START } },
      { op: "create", id: "u:m", doc: { count: 1, callId: "c1" } },
    ];
    await key.write(writes);
    await key.write([...ids, "o:none" as const].map((id) => ({ op: "delete", id })));
    expect((await store().read("k1", ids))?.docs.size).toBe(0);
    await key.write(writes);
    expect((await store().read("k1", ids))?.docs.size).toBe(4);
  });

  test("applies its writes in their order", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([
      create(sampleCall("c1")),
      put(sampleCall("c1", { state: "settled" })),
      { op: "create", id: "u:m", doc: { count: 1, callId: "c1" } },
      { op: "delete", id: "u:m" },
    ]);
    const docs = (await store().read("k1", ["c:c1", "u:m"]))?.docs ?? new Map();
    expect(docAs(docs, "c", "c1")?.state).toBe("settled");
    expect(docs.size).toBe(1);
  });

  test("takes 200 calls and receipts of 100 KiB, and gives them back unchanged", async () => {
    const key = new KeyWriter(store(), "k1");
    const sealed = "Zm9v".repeat(25_600);
    const calls = Array.from({ length: 200 }, (_, index) => sampleCall(`c${index}`, { task: index }));
    await key.write(calls.map(create), samplePage("k1", 1, 200));
    await key.write([{ op: "create", id: "r:c7", doc: { sealed, expiresAt: START } }]);
    const after = await store().read("k1", ["r:c7", ...calls.map((call): DocId => `c:${call.id}`)]);
    expect(after && docAs(after.docs, "r", "c7")?.sealed).toBe(sealed);
    expect(after?.docs.size).toBe(201);
    expect(after && docAs(after.docs, "c", "c199")).toEqual(calls[199]);
    expect((await store().findPage("k1", 200))?.records).toHaveLength(200);
  });
}

function times(opened: () => OpenedStore): void {
  test("answers the store's time, which never goes back even when the clock does", async () => {
    const { store, setTime } = opened();
    const key = new KeyWriter(store, "k1");
    if (!setTime) {
      const times: number[] = [];
      for (const writer of [key, new KeyWriter(store, "k2"), key, key]) times.push(await writer.write());
      expect(times).toEqual(times.toSorted((one, other) => one - other));
      // It is the time of this hour, not a number of something else.
      expect(Math.abs((times[0] ?? 0) - Date.now())).toBeLessThan(3_600_000);
      return;
    }
    setTime(START + 5_000);
    expect(await key.write()).toBe(START + 5_000);
    setTime(START);
    expect(await key.write()).toBe(START + 5_000);
    expect(await new KeyWriter(store, "k2").write()).toBe(START + 5_000);
    setTime(START + 5_001);
    expect(await key.write()).toBe(START + 5_001);
  });
}

function reads(store: () => Store): void {
  test("of a key that does not exist is null", async () => {
    expect(await store().read("none", ["c:x"])).toBeNull();
    expect(await store().findCall("none")).toBeNull();
    expect(await store().findPage("none", 1)).toBeNull();
    expect(await store().listPages("none", 1, 10)).toEqual([]);
  });

  test("shows one moment: the key and its documents never from two commits", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([create(sampleCall("c1", { sends: 1 })), create(sampleCall("c2", { sends: 1 }))]);
    let writing = true;
    const writer = (async () => {
      for (let round = 2; round < 60; round += 1) {
        await key.write([put(sampleCall("c1", { sends: round })), put(sampleCall("c2", { sends: round }))]);
      }
      writing = false;
    })();
    while (writing) {
      const seen = await store().read("k1", ["c:c1", "c:c2"]);
      const sends = seen && [docAs(seen.docs, "c", "c1")?.sends, docAs(seen.docs, "c", "c2")?.sends];
      expect(sends).toEqual([seen?.state.sequence, seen?.state.sequence]);
      // A store in this thread commits between two turns of the event loop.
      await nextTurn();
    }
    await writer;
  });

  test("by a call's id needs no key", async () => {
    await new KeyWriter(store(), "k1").write([create(sampleCall("c1"))]);
    expect(await store().findCall("c1")).toEqual(sampleCall("c1"));
  });

  test("of a name that is none is null", async () => {
    for (const id of ["__a__", "____", "..", "."]) {
      expect(await store().findCall(id)).toBeNull();
      expect(await store().read(id, [])).toBeNull();
    }
  });
}

function receipts(opened: () => OpenedStore): void {
  const store = () => opened().store;
  /** What a sweep finds of a receipt that is not there any more. */
  const left = () => (opened().packsReceipts ? 1 : 0);

  test("receipts that are over are swept, at most as many as asked, and no others", async () => {
    const key = new KeyWriter(store(), "k1");
    const receipt = (id: string, expiresAt: number): Write[] => [
      create(sampleCall(id)),
      { op: "create", id: `r:${id}`, doc: { sealed: id, expiresAt } },
    ];
    await key.write([
      ...receipt("a", START - 10),
      ...receipt("b", START - 5),
      ...receipt("c", START - 1),
      ...receipt("d", START + 1),
    ]);
    expect(await store().sweepReceipts(START, 2)).toBe(2);
    expect(await store().sweepReceipts(START, 1_000)).toBe(1);
    expect(await store().sweepReceipts(START, 1_000)).toBe(0);
    const left = await store().read("k1", ["r:a", "r:b", "r:c", "r:d"]);
    expect([...(left?.docs.keys() ?? [])]).toEqual(["r:d"]);
  });

  test("a receipt whose life was made longer is not swept at its old end", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([
      create(sampleCall("a")),
      { op: "create", id: "r:a", doc: { sealed: "a", expiresAt: START - 10 } },
    ]);
    await key.write([{ op: "put", id: "r:a", doc: { sealed: "b", expiresAt: START + 10 } }]);
    expect(await store().sweepReceipts(START, 10)).toBe(left());
    const docs = (await store().read("k1", ["r:a"]))?.docs ?? new Map();
    expect(docAs(docs, "r", "a")).toEqual({ sealed: "b", expiresAt: START + 10 });
  });

  test("a receipt goes with its call, and a new call of that id has none", async () => {
    const key = new KeyWriter(store(), "k1");
    const receipt: Write = { op: "create", id: "r:a", doc: { sealed: "a", expiresAt: START - 10 } };
    await key.write([create(sampleCall("a")), receipt]);
    await key.write([{ op: "delete", id: "c:a" }]);
    expect((await store().read("k1", ["r:a"]))?.docs.size).toBe(0);
    expect(await store().sweepReceipts(START, 10)).toBe(left());
    await key.write([create(sampleCall("a"))]);
    expect((await store().read("k1", ["r:a"]))?.docs.size).toBe(0);
    await key.write([receipt]);
    expect((await store().read("k1", ["r:a"]))?.docs.size).toBe(1);
  });

  test("a receipt of no call is refused as an error, and the commit with it", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([create(sampleCall("gone"))]);
    for (const op of ["create", "put"] as const) {
      const receipt = (id: string): Write => ({ op, id: `r:${id}`, doc: { sealed: "s", expiresAt: START } });
      for (const orphan of [[receipt("none")], [{ op: "delete", id: "c:gone" } as const, receipt("gone")]]) {
        await expect(store().commit("k1", key.next([create(sampleCall("c1")), ...orphan]))).rejects.toThrow(/no call/);
      }
    }
    const after = await store().read("k1", ["c:c1", "c:gone"]);
    expect([...(after?.docs.keys() ?? [])]).toEqual(["c:gone"]);
    expect(after?.version).toBe(key.version);
  });
}

function settings(store: () => Store): void {
  test("a setting is written once: 32 that race all get the first value", async () => {
    expect(await store().setting("admin")).toBeNull();
    const kept = await Promise.all(Array.from({ length: 32 }, (_, index) => store().settingOnce("admin", `v${index}`)));
    expect(new Set(kept).size).toBe(1);
    expect(await store().settingOnce("admin", "late")).toBe(kept[0]);
    expect(await store().setting("admin")).toBe(kept[0]);
    expect(await store().setting("other")).toBeNull();
  });
}
