/**
 * Goal: what is past its key's end and the retention is not shown, deleted or not, and its absence is no fault of the chain; until
 * that moment every record that is missing is one. Method: a key's chain and calls read before and after, through a store that
 * leaves out some of its pages. Limit: no store really deletes anything here.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Store } from "../../service/stores/store.ts";
import { type Harness, issueKey, makeCall, startControl, stripe } from "./harness.ts";

const DAY = 86_400_000;
const RETENTION = 30 * DAY;
const LIFE = 2 * 3_600_000;

let origin: Harness;
let keyId: string;
let callId: string;

beforeEach(async () => {
  origin = await startControl([stripe]);
  keyId = (await issueKey(origin, "old")).keyId;
  callId = (await makeCall(origin, keyId, "settled")).id;
  await makeCall(origin, keyId, "settled");
});
afterEach(() => origin.close());

/** The store without the pages that begin at these chain numbers. */
function without(store: Store, ...gone: number[]): Store {
  const listPages: Store["listPages"] = async (id, from, limit) => {
    const pages = await store.listPages(id, 0, 1_000);
    return pages.filter((page) => page.first >= from && !gone.includes(page.first)).slice(0, limit);
  };
  const findPage: Store["findPage"] = async (id, n) => {
    const page = await store.findPage(id, n);
    return page && !gone.includes(page.first) ? page : null;
  };
  return new Proxy(store, {
    get(target, name) {
      if (name === "listPages") return listPages;
      if (name === "findPage") return findPage;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

async function ask(path: string, gone: number[], afterEnd: number, retentionMs: number | null = RETENTION) {
  origin.clock.time += LIFE + RETENTION + afterEnd;
  const { ledger, clock } = origin;
  const harness = await startControl([stripe], { store: without(origin.store, ...gone), ledger, clock, retentionMs });
  const answer = await harness.client.get(path);
  await harness.close();
  return { ...answer, logged: harness.logged.join("") };
}

const back = (afterEnd: number): void => {
  origin.clock.time -= LIFE + RETENTION + afterEnd;
};

const prove = (gone: number[], afterEnd: number, retentionMs?: number | null) =>
  ask(`/vault/keys/${keyId}/proof`, gone, afterEnd, retentionMs);

describe("the proof of a key whose time is over", () => {
  it.each([
    ["all records are gone", [0, 1, 2, 3, 4]],
    ["some are gone", [0, 2]],
    ["none is gone yet", []],
  ])("says so when %s, with the key's own sums and no record", async (_what, gone) => {
    const { status, json, logged } = await prove(gone, 0);
    expect([status, json.calls, json.verified, json.fault, json.retention_passed]).toEqual([
      200,
      [],
      false,
      null,
      true,
    ]);
    expect(json.balance).toMatchObject({ cap_usd: "500.00", spent_usd: "80.00", reserved_usd: "0.00" });
    expect(json.chain_head).toBe((await origin.store.read(keyId, []))?.state.chainHead);
    expect(logged).not.toContain("does not verify");
  });

  it("is whole until that millisecond, and for ever in a store that forgets nothing", async () => {
    expect((await prove([], -1)).json).toMatchObject({ verified: true, retention_passed: false, records: 5 });
    expect((await prove([], 0, null)).json).toMatchObject({ verified: true, retention_passed: false, records: 5 });
  });
});

describe("a record that is missing", () => {
  it.each<[string, number, number | null]>([
    ["a millisecond before the retention is over", -1, RETENTION],
    ["in a store that forgets nothing", 1_000 * DAY, null],
  ])("%s is a fault, and logged", async (_what, afterEnd, retentionMs) => {
    for (const gone of [[0], [2], [4]]) {
      const { json, logged } = await prove(gone, afterEnd, retentionMs);
      expect(json).toMatchObject({ verified: false, retention_passed: false });
      expect(json.fault).toMatch(/missing|ends after/);
      expect(logged).toContain("hash chain does not verify");
      back(afterEnd);
    }
  });
});

describe("a call whose time is over", () => {
  it("is in no listing and no bill, and its id leads nowhere; an open one stays", async () => {
    const open = await makeCall(origin, keyId, "unknown");
    const other = await issueKey(origin, "young", { expires_in: "3h" });
    const young = await makeCall(origin, other.keyId, "settled");
    for (const [afterEnd, ids] of [
      [-1, [young.id, open.id, expect.any(String), callId]],
      [0, [young.id, open.id]],
    ] as const) {
      for (const query of ["", "label=old", `key_id=${keyId}`]) {
        const { json } = await ask(`/audit?${query}`, [], afterEnd);
        const wanted = query === "" ? ids : ids.slice(1);
        expect(
          (json.calls as { call_id: string }[]).map((row) => row.call_id),
          query,
        ).toEqual(wanted);
        back(afterEnd);
      }
      const { json } = await ask("/audit/summary?label=old", [], afterEnd);
      expect(json.groups).toMatchObject([{ calls: ids.length - 1 }]);
      back(afterEnd);
      expect((await ask(`/calls/${callId}`, [], afterEnd)).status).toBe(afterEnd < 0 ? 200 : 404);
      back(afterEnd);
    }
    const { status, json } = await ask(`/calls/${open.id}`, [0, 1, 2, 3, 4, 5, 6], 0);
    expect([status, json.state, json.transitions, json.transitions_left_off]).toEqual([200, "unknown", [], 2]);
  });

  it("is not shown without its records before", async () => {
    expect((await ask(`/calls/${callId}`, [1], -1)).status).toBe(503);
  });
});
