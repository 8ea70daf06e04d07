/**
 * Goal: no query of the store is refused in production for want of an index, and no index is kept that no query needs. Method:
 * every way to ask the store's listings, with the queries caught on their way out, against Firestore's documented rules of which
 * index serves which query, applied to the very file that a deployment declares. Limit: the rules are a reading of the
 * documentation; the emulator runs any query, so that only a real project can confirm them.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { FirestoreStore } from "../../service/stores/firestore.ts";
import type { ApiQuery } from "../../service/stores/firestore-client.ts";
import type { CallFilter, KeyFilter } from "../../service/stores/store.ts";
import { type IndexFile, missingIndex } from "./firestore-matcher.ts";
import { ScriptedConnection } from "./firestore-scripted.ts";
import { START, sampleCall, sampleKey } from "./samples.ts";

const file = JSON.parse(
  readFileSync(new URL("../../service/stores/firestore-indexes.json", import.meta.url), "utf8"),
) as IndexFile;

/** Every subset of the parts, each as one object. */
function combinations<T extends object>(parts: Partial<T>[]): Partial<T>[] {
  let all: Partial<T>[] = [{}];
  for (const part of parts) all = [...all, ...all.map((each) => ({ ...each, ...part }))];
  return all;
}

const callFilters: CallFilter[] = [
  ...combinations<CallFilter>([
    { keyIds: ["k1"] },
    { label: "l" },
    { owner: "o" },
    { taskIndex: 1 },
    { vendor: "v" },
    { state: "unknown" },
    { since: START },
    { until: START + 1 },
  ]),
  // Enough for several groups of one `in`.
  ...combinations<CallFilter>([{ keyIds: Array.from({ length: 70 }, (_, n) => `k${n}`) }, { since: START }]),
];
const keyFilters: KeyFilter[] = combinations<KeyFilter>([{ label: "l" }, { owner: "o" }]);

/** Asks the store in every way there is. @returns each query once. */
async function everyQuery(): Promise<Map<string, ApiQuery>> {
  const connection = new ScriptedConnection();
  const store = new FirestoreStore(connection, systemRandom, 1);
  const cursor = (listing: string) => Buffer.from(`${listing}:1:x`).toString("base64url");
  for (const after of [false, true]) {
    for (const filter of callFilters) await store.listCalls(filter, 10, after ? cursor("calls") : null);
    for (const filter of keyFilters) await store.listKeys(filter, 10, after ? cursor("keys") : null);
    await store.listOpenCalls(10, after ? cursor("open") : null);
    await store.listRecords("run", 10, after ? Buffer.from("run/r").toString("base64url") : null);
  }
  await store.listPages("k1", 1, 10);
  await store.findPage("k1", 1);
  await store.sweepReceipts(START, 10);
  await store.policies.byPrincipal("a@b");
  return new Map(connection.queries.map(({ query }) => [JSON.stringify(query), query]));
}

describe("the indexes that a deployment declares", () => {
  test("serve every query that the store can form", async () => {
    const queries = await everyQuery();
    const collections = new Set([...queries.values()].map(({ from }) => from?.[0]?.collectionId));
    expect([...collections].sort()).toEqual(["calls", "keys", "pages", "policies", "receipts", "records"]);
    for (const [text, query] of queries) expect(missingIndex(query, file), text).toBeNull();
  });

  test("are all needed: without any one of them some query is refused", async () => {
    const queries = [...(await everyQuery()).values()];
    for (const [index, { collectionGroup, fields }] of file.indexes.entries()) {
      const less = { ...file, indexes: file.indexes.toSpliced(index, 1) };
      const refused = queries.filter((query) => missingIndex(query, less) !== null);
      expect(refused.length, `${collectionGroup} ${JSON.stringify(fields)}`).toBeGreaterThan(0);
    }
  });

  test("leave out no single-field index that a query needs, and keep the hot fields out of all", async () => {
    const queries = [...(await everyQuery()).values()];
    for (const collectionGroup of ["calls", "keys", "receipts", "policies"]) {
      const fields = { calls: "order", keys: "order", receipts: "expireAt", policies: "principal_ids" };
      const override = { collectionGroup, fieldPath: fields[collectionGroup as "calls"], indexes: [] };
      const others = file.fieldOverrides.filter(
        (each) => each.collectionGroup !== collectionGroup || each.fieldPath !== override.fieldPath,
      );
      const less = { ...file, fieldOverrides: [...others, override] };
      expect(
        queries.some((query) => missingIndex(query, less) !== null),
        collectionGroup,
      ).toBe(true);
    }
    const open = (collection: string, field: string) =>
      !file.fieldOverrides.some(
        ({ collectionGroup, fieldPath, indexes }) =>
          collectionGroup === collection && fieldPath === field && indexes.length === 0,
      );
    for (const collection of ["keys", "calls", "pages", "docs", "receipts", "records"]) {
      expect(open(collection, "doc"), `${collection}.doc is text of any length`).toBe(false);
    }
    expect(open("keys", "beat"), "keys.beat changes with each commit").toBe(false);
  });
});

describe("what Firestore deletes by itself", () => {
  const ttl = file.fieldOverrides.filter((each) => each.ttl).map((each) => `${each.collectionGroup}.${each.fieldPath}`);

  test("is every collection with an end but the keys, whose documents keep their labels from being used again", () => {
    expect(ttl.sort()).toEqual(["calls", "docs", "pages", "receipts", "records"].map((each) => `${each}.expireAt`));
  });

  test("are the documents of a commit that have an end, and no others", async () => {
    const connection = new ScriptedConnection();
    const store = new FirestoreStore(connection, systemRandom, 1_000);
    const end = sampleKey("k1").expiresAt;
    const closed = { state: "settled" as const };
    const kinds = {
      reserved: sampleCall("reserved"),
      unknown: sampleCall("unknown", { state: "unknown" }),
      pending: sampleCall("pending", { ...closed, pricePending: true }),
      settled: sampleCall("settled", closed),
      refused: sampleCall("refused", { state: "refused" }),
    };
    await store.commit("k1", {
      version: null,
      state: sampleKey("k1"),
      page: { keyId: "k1", first: 1, token: "t", records: [{ n: 1 } as never] },
      writes: [
        ...Object.values(kinds).map((doc) => ({ op: "put", id: `c:${doc.id}`, doc }) as const),
        { op: "create", id: "a:x", doc: { callId: "settled" } },
        { op: "put", id: "r:settled", doc: { sealed: "s", expiresAt: end + 5 } },
      ],
      records: [
        { kind: "run", name: "with", doc: {}, version: null, expiresAt: end },
        { kind: "run", name: "without", doc: {}, version: null, expiresAt: null },
      ],
    });
    const ends = new Map<string, number | null>();
    for (const { update, updateMask } of connection.commits[0] ?? []) {
      const path = (update?.name ?? "").slice(connection.root.length + 1);
      const at = update?.fields?.expireAt?.timestampValue;
      ends.set(
        path.startsWith("receipts/") ? "receipts" : path,
        at ? Number(at.seconds) * 1_000 + (at.nanos ?? 0) / 1e6 : null,
      );
      // A put that leaves the field out deletes it: a call that is open again is not forgotten.
      if (path.startsWith("calls/")) expect(updateMask?.fieldPaths).toContain("expireAt");
    }
    expect(Object.fromEntries(ends)).toEqual({
      "keys/k1": null,
      "keys/k1/pages/000000000000001": end + 1_000,
      ...{ "calls/reserved": null, "calls/unknown": null, "calls/pending": null },
      ...{ "calls/settled": end + 1_000, "calls/refused": end + 1_000 },
      "docs/a:x": end + 1_000,
      receipts: end + 5,
      "records/run:with": end,
      "records/run:without": null,
    });
  });
});
