/** Part of the store contract: listings, filters, cursors, chain pages. */
import { describe, expect, test } from "vitest";
import type { Call } from "../../service/ledger/types.ts";
import { callMatches, keyMatches } from "../../service/stores/filters.ts";
import { BadCursor, type CallFilter, type Page, type Store } from "../../service/stores/store.ts";
import { create, KeyWriter, put, START, sampleCall, samplePage } from "./samples.ts";

export function listingContract(store: () => Store): void {
  describe("listed calls", () => {
    order(store);
    filters(store);
    cursors(store);
  });
  describe("listed open calls", () => open(store));
  describe("listed keys", () => keys(store));
  describe("chain pages", () => pages(store));
}

/** Follows the cursors to the end; `between` runs after each page. */
async function all<T>(list: (cursor: string | null) => Promise<Page<T>>, between = async () => {}): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let round = 0; round < 1_000; round += 1) {
    const page: Page<T> = await list(cursor);
    items.push(...page.items);
    if (page.cursor === null) return items;
    cursor = page.cursor;
    await between();
  }
  throw new Error("the listing has no end");
}

const ids = (calls: readonly Call[]) => calls.map((call) => call.id);
const numbered = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);

async function fill(store: Store, calls: Call[]): Promise<void> {
  const key = new KeyWriter(store, "filler");
  for (let from = 0; from < calls.length; from += 100) await key.write(calls.slice(from, from + 100).map(create));
}

function order(store: () => Store): void {
  test("come newest first, in the order they were made, and a put does not move them", async () => {
    const key = new KeyWriter(store(), "k1");
    for (const id of numbered(5)) await key.write([create(sampleCall(id))]);
    await key.write([put(sampleCall("c1", { state: "settled", updatedAt: START + 9 }))]);
    expect(ids((await store().listCalls({}, 10, null)).items)).toEqual(["c4", "c3", "c2", "c1", "c0"]);
    expect((await store().listCalls({}, 10, null)).items[3]?.state).toBe("settled");
  });

  test("of one commit have the order of its writes, and a deleted one is gone", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write(numbered(4).map((id) => create(sampleCall(id))));
    await key.write([{ op: "delete", id: "c:c2" }]);
    expect(ids((await store().listCalls({}, 10, null)).items)).toEqual(["c3", "c1", "c0"]);
  });
}

/** Every combination of these values is some call's. */
function mixedCalls(): Call[] {
  const calls: Call[] = [];
  for (const keyId of ["k1", "k2", "k3"]) {
    for (const state of ["reserved", "settled", "refused"] as const) {
      for (const task of [null, 0, 1]) {
        for (const vendor of ["stripe", "twilio"]) {
          const n = calls.length;
          const execution = n % 4 === 0 ? "run-a" : n % 4 === 1 ? "label-k1" : null;
          const owner = n % 5 === 0 ? "policy:job" : "admin";
          const over = {
            keyId,
            label: `label-${keyId}`,
            state,
            task,
            vendor,
            execution,
            owner,
            createdAt: START + (n % 7),
          };
          calls.push(sampleCall(`c${n}`, over));
        }
      }
    }
  }
  return calls;
}

const someFilters: CallFilter[] = [
  {},
  { keyIds: [] },
  { keyIds: ["k2"] },
  { keyIds: ["k3", "k1", "k3", "none"] },
  { label: "label-k1" },
  { label: "run-a" },
  { label: "none" },
  { owner: "policy:job" },
  { taskIndex: 0 },
  { vendor: "twilio" },
  { state: "refused" },
  { since: START + 3 },
  { until: START + 3 },
  { since: START + 2, until: START + 4 },
  { label: "label-k1", state: "settled", vendor: "stripe" },
  { keyIds: ["k1", "k2"], label: "run-a", owner: "admin" },
  { keyIds: ["k2"], state: "reserved", taskIndex: 1, vendor: "stripe", since: START, until: START + 7, owner: "admin" },
  { label: "run-a", taskIndex: 0, since: START + 1 },
];

function filters(store: () => Store): void {
  test("answer each filter and their combinations exactly, in pages of any size", async () => {
    const calls = mixedCalls();
    await fill(store(), calls);
    const newestFirst = [...calls].reverse();
    for (const filter of someFilters) {
      const expected = ids(newestFirst.filter((call) => callMatches(filter, call)));
      for (const limit of [1, 4, 100]) {
        const listed = await all((cursor) => store().listCalls(filter, limit, cursor));
        expect(ids(listed), `${JSON.stringify(filter)} by ${limit}`).toEqual(expected);
      }
    }
  });

  test("follow a call whose filtered fields change", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([create(sampleCall("c1"))]);
    const changed = {
      state: "unknown",
      execution: "run-b",
      label: "new",
      vendor: "twilio",
      task: 9,
      owner: "p",
      keyId: "k9",
    } as const;
    await key.write([put(sampleCall("c1", { ...changed, createdAt: START + 1 }))]);
    const found = async (filter: CallFilter) => ids((await store().listCalls(filter, 10, null)).items);
    const now: CallFilter[] = [
      { label: "new" },
      { label: "run-b" },
      { keyIds: ["k9"] },
      { owner: "p" },
      { taskIndex: 9 },
    ];
    for (const filter of [...now, { vendor: "twilio" }, { state: "unknown" as const }, { since: START + 1 }]) {
      expect(await found(filter), JSON.stringify(filter)).toEqual(["c1"]);
    }
    const before: CallFilter[] = [{ label: "label-of-k1" }, { keyIds: ["k1"] }, { owner: "admin" }, { taskIndex: 1 }];
    for (const filter of [...before, { vendor: "stripe" }, { state: "reserved" as const }, { until: START + 1 }]) {
      expect(await found(filter), JSON.stringify(filter)).toEqual([]);
    }
  });

  test("are found when the only match is the oldest of some thousands", async () => {
    const calls = numbered(3_300).map((id, index) => sampleCall(id, { vendor: index === 0 ? "resend" : "stripe" }));
    await fill(store(), calls);
    for (const filter of [
      { vendor: "resend" },
      { vendor: "resend", keyIds: ["k1", "k2"] },
      { label: "label-of-k1", vendor: "resend" },
    ]) {
      expect(ids(await all((cursor) => store().listCalls(filter, 50, cursor))), JSON.stringify(filter)).toEqual(["c0"]);
    }
    expect(ids(await all((cursor) => store().listCalls({ keyIds: ["k1"] }, 700, cursor)))).toEqual(
      ids(calls).reverse(),
    );
  });
}

function cursors(store: () => Store): void {
  test("stay right while rows are added: none twice, none skipped, none of the new ones", async () => {
    await fill(
      store(),
      numbered(40).map((id) => sampleCall(id)),
    );
    const key = new KeyWriter(store(), "k1");
    let added = 0;
    const add = async () => {
      for (let each = 0; each < 3; each += 1) {
        added += 1;
        await key.write([create(sampleCall(`new${added}`))]);
      }
    };
    for (const filter of [{}, { label: "label-of-k1" }, { keyIds: ["k1"] }]) {
      const before = ids(await all((cursor) => store().listCalls(filter, 1_000, cursor)));
      expect(ids(await all((cursor) => store().listCalls(filter, 7, cursor), add)), JSON.stringify(filter)).toEqual(
        before,
      );
    }
  });

  test("that are not ours are refused as BadCursor", async () => {
    await fill(
      store(),
      numbered(3).map((id) => sampleCall(id)),
    );
    const ours = (await store().listCalls({}, 1, null)).cursor;
    expect(ours).toBeTypeOf("string");
    for (const cursor of ["", "x", "MQ", `${ours}A`, `${ours}=`, "💥", "a".repeat(5_000)]) {
      await expect(store().listCalls({}, 1, cursor), cursor).rejects.toThrow(BadCursor);
      await expect(store().listKeys({}, 1, cursor), cursor).rejects.toThrow(BadCursor);
      await expect(store().listOpenCalls(1, cursor), cursor).rejects.toThrow(BadCursor);
    }
    await expect(store().listKeys({}, 1, ours)).rejects.toThrow(BadCursor);
  });

  test("limits that make no sense are refused", async () => {
    for (const limit of [0, -1, 1.5, Number.NaN, 10_001]) {
      await expect(store().listCalls({}, limit, null)).rejects.toThrow(RangeError);
      await expect(store().listPages("k1", 1, limit)).rejects.toThrow(RangeError);
    }
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
