/**
 * Goal: the SQLite store answers any history of commits as a simple model does. Method: fast-check makes histories over
 * few keys and ids, so that conflicts and clashes are common; each runs on SQLite and on the in-memory store, and all
 * answers and all that can be read must be equal. Limit: both could share a misreading of the contract.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { CallState, DocId } from "../../service/ledger/types.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import type { Commit, RecordKind, RecordWrite, Store, Version, Write } from "../../service/stores/store.ts";
import { put, START, sampleCall, sampleKey, samplePage } from "./samples.ts";

const keyIds = ["k1", "k2", "k3"];
const calls = ["c1", "c2", "c3", "c4", "c5"];
const others: DocId[] = ["a:1", "o:1", "u:1"];
const everyId: DocId[] = [...others, ...calls.flatMap((id): DocId[] => [`c:${id}`, `r:${id}`])];

const oneWrite = fc.oneof(
  fc.record({
    op: fc.constantFrom("create" as const, "put" as const),
    call: fc.constantFrom(...calls),
    state: fc.constantFrom<CallState>("reserved", "settled", "unknown"),
    label: fc.constantFrom("a", "b"),
    keyId: fc.constantFrom(...keyIds),
  }),
  fc.record({
    op: fc.constantFrom("create" as const, "put" as const),
    receipt: fc.constantFrom(...calls),
    /** Else it may be of a call that is not there. */
    withCall: fc.constantFrom(true, true, true, false),
    end: fc.nat(9),
  }),
  fc.record({ op: fc.constantFrom("create" as const, "put" as const), doc: fc.constantFrom(...others) }),
  fc.record({ gone: fc.constantFrom(...everyId) }),
);
type OneWrite = typeof oneWrite extends fc.Arbitrary<infer T> ? T : never;

const recordKinds = ["run", "execution"] as const satisfies RecordKind[];
const oneRecord = fc.record({
  kind: fc.constantFrom(...recordKinds),
  name: fc.constantFrom("a", "b"),
  at: fc.constantFrom("now" as const, "now" as const, "now" as const, "new" as const),
});
type OneRecord = typeof oneRecord extends fc.Arbitrary<infer T> ? T : never;

const step = fc.record({
  keyId: fc.constantFrom(...keyIds),
  /** At the version that is known, at the one before it, or as if the key were new. */
  at: fc.constantFrom("now" as const, "now" as const, "now" as const, "before" as const, "new" as const),
  page: fc.nat(2),
  writes: fc.array(oneWrite, { maxLength: 5 }),
  sweep: fc.option(fc.nat(9), { freq: 8 }),
  records: fc.uniqueArray(oneRecord, { maxLength: 2, selector: ({ kind, name }) => kind + name }),
  /** Written on their own, after the commit. */
  alone: fc.array(oneRecord, { maxLength: 1 }),
});

function toWrites(write: OneWrite): Write[] {
  if ("gone" in write) return [{ op: "delete", id: write.gone }];
  if ("receipt" in write) {
    const { op, receipt, withCall, end } = write;
    const call = withCall ? [put(sampleCall(receipt, { state: "settled" }))] : [];
    return [...call, { op, id: `r:${receipt}`, doc: { sealed: `until ${end}`, expiresAt: end } }];
  }
  if ("doc" in write) return [{ op: write.op, id: write.doc, doc: { callId: write.op } }];
  const { op, call, state, label, keyId } = write;
  return [{ op, id: `c:${call}`, doc: sampleCall(call, { state, label, keyId }) }];
}

async function toRecords(store: Store, asked: readonly OneRecord[], n: number): Promise<RecordWrite[]> {
  return Promise.all(
    asked.map(async ({ kind, name, at }) => {
      const version = at === "new" ? null : ((await store.record(kind, name))?.version ?? null);
      return { kind, name, doc: { n }, version, expiresAt: null };
    }),
  );
}

async function everything(store: Store) {
  return {
    snapshots: await Promise.all(keyIds.map((id) => store.read(id, everyId))),
    keys: await store.listKeys({}, 2, null),
    calls: await store.listCalls({}, 100, null),
    labelled: await store.listCalls({ label: "a", keyIds: ["k1", "k2"] }, 100, null),
    open: await store.listOpenCalls(100, null),
    pages: await Promise.all(keyIds.map((id) => store.listPages(id, 1, 100))),
    records: await Promise.all(recordKinds.map(async (kind) => (await store.listRecords(kind, 100, null)).items)),
  };
}

/** Cursors and versions are the store's own: what counts is whether there is one. */
function comparable(seen: Awaited<ReturnType<typeof everything>>) {
  const bare = { ...seen.keys, cursor: seen.keys.cursor !== null };
  const records = seen.records.map((items) => items.map(({ name, doc }) => ({ name, doc })));
  return { ...seen, records, keys: bare, snapshots: seen.snapshots.map((each) => each && { ...each, version: "" }) };
}

test("any history of commits has the same answers and leaves the same documents as in the model", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
      const clock = { now: () => START };
      const [model, sqlite] = [
        new MemoryStore({ clock }),
        await openSqliteStore({ path: ":memory:", worker: false, clock }),
      ];
      const versions = new Map<Store, Map<string, Version[]>>([
        [model, new Map()],
        [sqlite, new Map()],
      ]);
      let sequence = 0;
      for (const { keyId, at, page, writes, sweep, records: asked, alone } of steps) {
        sequence += 1;
        const results = [];
        for (const store of [model, sqlite]) {
          const known = versions.get(store)?.get(keyId) ?? [];
          const version = at === "new" ? null : (known.at(at === "now" ? -1 : -2) ?? null);
          const state = sampleKey(keyId, { sequence });
          const chainPage = page > 0 ? samplePage(keyId, sequence * 10, page) : null;
          const records = await toRecords(store, asked, sequence);
          const commit: Commit = { version, state, page: chainPage, writes: writes.flatMap(toWrites), records };
          const result = await store.commit(keyId, commit).catch((error: Error) => {
            expect(error.message).toMatch(/receipt r:\w+ is of no call/);
            return { kind: "refused" as const };
          });
          if (result.kind === "committed") versions.get(store)?.set(keyId, [...known, result.version]);
          results.push(result.kind === "committed" ? { ...result, version: "" } : result);
          for (const record of await toRecords(store, alone, -sequence)) {
            results.push({ written: (await store.putRecord(record)) !== null });
          }
          if (sweep !== null) results.push({ swept: await store.sweepReceipts(sweep, 100) });
        }
        expect(results.slice(results.length / 2)).toEqual(results.slice(0, results.length / 2));
      }
      expect(comparable(await everything(sqlite))).toEqual(comparable(await everything(model)));
      await sqlite.close();
    }),
    { numRuns: 150 },
  );
});
