/** Part of the store contract: filters and cursors of the listed calls. */
import { describe, expect, test } from "vitest";
import type { Call } from "../../service/ledger/types.ts";
import { callMatches } from "../../service/stores/filters.ts";
import { BadCursor, type CallFilter, type Store } from "../../service/stores/store.ts";
import { all, fill, ids, numbered } from "./listed.ts";
import { create, KeyWriter, put, START, sampleCall } from "./samples.ts";

export function filterContract(store: () => Store): void {
  describe("listed calls", () => {
    filters(store);
    cursors(store);
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
