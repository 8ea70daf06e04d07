/** Part of the store contract: the order of listings, open calls, keys, chain pages. */
import { describe, expect, test } from "vitest";
import { keyMatches } from "../../service/stores/filters.ts";
import type { Store } from "../../service/stores/store.ts";
import { all, fill, ids, numbered } from "./listed.ts";
import { create, KeyWriter, put, START, sampleCall, samplePage } from "./samples.ts";
export function listingContract(store: () => Store): void {
  describe("listed calls", () => {
    order(store);
  });
  describe("listed open calls", () => open(store));
  describe("listed keys", () => keys(store));
  describe("chain pages", () => pages(store));
}

function order(store: () => Store): void {
  test("come newest first, in the order they were made, and a put does not move them", async () => {
    const key = new KeyWriter(store(), "k1");
    for (const id of numbered(5)) await key.write([create(sampleCall(id))]);
    await key.write([put(sampleCall("c1", { state: "settled", updatedAt: START + 9 }))]);
    expect(ids((await store().listCalls({}, 10, null)).items)).toEqual(["c4", "c3", "c2", "c1", "c0"]);
    expect((await store().listCalls({}, 10, null)).items[3]?.state).toBe("settled");
  });

  test("are not moved by a put long after they were made, and none is listed twice", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write(numbered(4).map((id) => create(sampleCall(id))));
    await key.write([create(sampleCall("late", { createdAt: START + 61_000 }))]);
    const seen = await all(
      (cursor) => store().listCalls({}, 2, cursor),
      async () => void (await key.write([put(sampleCall("c3", { state: "settled", updatedAt: START + 61_000 }))])),
    );
    expect(ids(seen)).toEqual(["late", "c3", "c2", "c1", "c0"]);
    expect(ids((await store().listCalls({}, 10, null)).items)).toEqual(["late", "c3", "c2", "c1", "c0"]);
  });

  test("of one commit have the order of its writes, and a deleted one is gone", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write(numbered(4).map((id) => create(sampleCall(id))));
    await key.write([{ op: "delete", id: "c:c2" }]);
    expect(ids((await store().listCalls({}, 10, null)).items)).toEqual(["c3", "c1", "c0"]);
  });
}

function open(store: () => Store): void {
  test("are those reserved, unknown, or with a price to come, oldest first", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([
      create(sampleCall("c1", { state: "settled" })),
      create(sampleCall("c2")),
      create(sampleCall("c3", { state: "unknown" })),
      create(sampleCall("c4", { state: "settled", pricePending: true })),
      create(sampleCall("c5", { state: "released" })),
      create(sampleCall("c6", { state: "refused" })),
      create(sampleCall("c7")),
    ]);
    expect(ids(await all((cursor) => store().listOpenCalls(2, cursor)))).toEqual(["c2", "c3", "c4", "c7"]);
    await key.write([
      put(sampleCall("c2", { state: "settled" })),
      put(sampleCall("c4", { state: "settled" })),
      put(sampleCall("c5", { state: "reserved" })),
    ]);
    expect(ids(await all((cursor) => store().listOpenCalls(10, cursor)))).toEqual(["c3", "c5", "c7"]);
  });

  test("can be closed while they are listed: none is skipped, and new ones come last", async () => {
    await fill(
      store(),
      numbered(250).map((id) => sampleCall(id)),
    );
    const key = new KeyWriter(store(), "k1");
    let round = 0;
    const settle = async () => {
      await key.write([put(sampleCall(`c${round}`, { state: "settled" })), create(sampleCall(`new${round}`))]);
      round += 1;
    };
    const listed = ids(await all((cursor) => store().listOpenCalls(110, cursor), settle));
    expect(listed.slice(0, 250)).toEqual(numbered(250));
    expect(listed.slice(250)).toEqual(["new0", "new1"]);
  });
}

function keys(store: () => Store): void {
  test("come newest first; label matches the label or the execution", async () => {
    const made = [
      { keyId: "k1", label: "a", execution: null, owner: "admin" },
      { keyId: "k2", label: "b", execution: "a", owner: "policy:job" },
      { keyId: "k3", label: "c", execution: "c", owner: "policy:job" },
      { keyId: "k4", label: "a", execution: null, owner: "policy:job" },
    ];
    for (const each of made) await new KeyWriter(store(), each.keyId, each).write();
    for (const filter of [
      {},
      { label: "a" },
      { label: "c" },
      { owner: "policy:job" },
      { label: "a", owner: "admin" },
      { owner: "x" },
    ]) {
      const expected = made
        .map((each) => new KeyWriter(store(), each.keyId, each).state)
        .filter((key) => keyMatches(filter, key));
      for (const limit of [1, 3, 100]) {
        const listed = await all((cursor) => store().listKeys(filter, limit, cursor));
        expect(listed.map((key) => key.keyId)).toEqual(expected.map((key) => key.keyId).reverse());
      }
    }
  });

  test("show the newest state, also under an execution that was bound later", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    key.state = { ...key.state, execution: "run-a", spentMicros: 3 };
    await key.write();
    const { items } = await store().listKeys({ label: "run-a" }, 10, null);
    expect(items).toEqual([key.state]);
  });
}

function pages(store: () => Store): void {
  test("come in order from any number, those of one key only, as many as asked", async () => {
    const [k1, k2] = [new KeyWriter(store(), "k1"), new KeyWriter(store(), "k2")];
    let first = 1;
    for (let size = 1; size <= 20; size += 1) {
      await k1.write([], samplePage("k1", first, size));
      await k2.write([], samplePage("k2", size, 1));
      first += size;
    }
    const firsts = async (from: number, limit: number) =>
      (await store().listPages("k1", from, limit)).map((page) => page.first);
    expect(await firsts(1, 4)).toEqual([1, 2, 4, 7]);
    expect(await firsts(4, 2)).toEqual([4, 7]);
    expect(await firsts(5, 1)).toEqual([7]);
    expect(await firsts(0, 1_000)).toHaveLength(20);
    expect(await firsts(211, 10)).toEqual([]);
  });

  test("are found by any number they hold, and by no other", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([], samplePage("k1", 1, 3));
    await key.write();
    await key.write([], samplePage("k1", 4, 1));
    for (const [n, first] of [
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 4],
    ] as const) {
      expect((await store().findPage("k1", n))?.first).toBe(first);
    }
    expect(await store().findPage("k1", 0)).toBeNull();
    expect(await store().findPage("k1", 5)).toBeNull();
  });

  test("whose number is taken are refused as an error, and the commit with them", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([], samplePage("k1", 1, 1));
    const commit = key.next([create(sampleCall("c1"))], samplePage("k1", 1, 1));
    await expect(store().commit("k1", commit)).rejects.toThrow();
    const after = await store().read("k1", ["c:c1"]);
    expect(after?.version).toBe(key.version);
    expect(after?.docs.size).toBe(0);
  });
}
