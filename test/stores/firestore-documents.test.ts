/**
 * Goal: what a commit costs in documents, receipts in packs, policies that others write, and rows that several instances write.
 * Method: the store on the emulator, and on a connection that counts what is sent. Limit: what Google bills is its own count; here
 * it is the number of writes sent and documents asked for, which is what the price list names.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { DocId } from "../../service/ledger/types.ts";
import { FirestoreStore, openFirestoreStore } from "../../service/stores/firestore.ts";
import { type FirestoreConnection, openConnection } from "../../service/stores/firestore-client.ts";
import { docAs, type Store, type Write } from "../../service/stores/store.ts";
import { ask, budget, paid, quiet } from "../ledger/fixture.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";
import { ROOT, ScriptedConnection } from "./firestore-scripted.ts";
import { all, ids } from "./listed.ts";
import { create, KeyWriter, put, START, sampleCall, samplePage } from "./samples.ts";

/** Documents of a commit by collection. */
function collections(commit: ScriptedConnection["commits"][number]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { update, delete: gone } of commit) {
    const [collection = "", , sub] = (update?.name ?? gone ?? "").slice(ROOT.length + 1).split("/");
    const name = sub ?? collection;
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

describe("a commit of Firestore", () => {
  test("costs one write for the key, one for the page, one per call, and one for all of its receipts; it reads nothing", async () => {
    const connection = new ScriptedConnection();
    const store = new FirestoreStore(connection, systemRandom, 1);
    const calls = Array.from({ length: 50 }, (_, n) => sampleCall(`c${n}`));
    const key = new KeyWriter(store, "k1");
    await key.write(calls.map(create), samplePage("k1", 1, 50));
    const settled = calls.flatMap((call): Write[] => [
      put({ ...call, state: "settled" }),
      { op: "put", id: `r:${call.id}`, doc: { sealed: "Zm9v", expiresAt: START } },
    ]);
    await key.write(settled, samplePage("k1", 51, 50));
    expect(connection.commits.map(collections)).toEqual([
      { keys: 1, pages: 1, calls: 50 },
      { keys: 1, pages: 1, calls: 50, receipts: 1 },
    ]);
    expect([...connection.reads, ...connection.queries]).toEqual([]);
  });

  test("keeps what a put does not name: the row's number and its receipt", async () => {
    const connection = new ScriptedConnection();
    const store = new FirestoreStore(connection, systemRandom, 1);
    await new KeyWriter(store, "k1").write([put(sampleCall("c1"))]);
    const write = connection.commits[0]?.find(({ update }) => update?.name?.endsWith("/calls/c1"));
    expect(write?.updateMask?.fieldPaths).not.toContain("pack");
    expect(write?.updateMask?.fieldPaths).not.toContain("order");
    expect(write?.updateTransforms).toMatchObject([{ fieldPath: "order", maximum: {} }]);
  });
});

describeOnEmulator("Firestore's documents", (emulator) => {
  let store: Store;
  let connection: FirestoreConnection;
  let place: { project: string; database: string; emulator: string };
  beforeEach(async () => {
    const [project = "", database = ""] = freshStore().replace("firestore:", "").split("/");
    place = { project, database, emulator: emulator.host };
    // Megabytes in one commit take their time on a busy machine.
    store = await openFirestoreStore({ ...place, random: systemRandom, deadlineMs: 20_000 });
    connection = await openConnection({ ...place, deadlineMs: 20_000 });
  });
  afterEach(async () => {
    await Promise.all([store.close(), connection.close()]);
  });

  test("hold the receipts of a large commit in packs below 1 MiB, and each is found again", async () => {
    const sealed = (n: number) => `${n}-`.padEnd(131_072, "x");
    const writes = Array.from({ length: 20 }, (_, n): Write[] => [
      create(sampleCall(`c${n}`)),
      { op: "create", id: `r:c${n}`, doc: { sealed: sealed(n), expiresAt: START + (n % 2) } },
    ]);
    await new KeyWriter(store, "k1").write(writes.flat());
    const docs = (
      await store.read(
        "k1",
        writes.map((_, n): DocId => `r:c${n}`),
      )
    )?.docs;
    for (let n = 0; n < 20; n += 1) {
      expect(docs && docAs(docs, "r", `c${n}`)).toEqual({ sealed: sealed(n), expiresAt: START + (n % 2) });
    }
    const swept = [await store.sweepReceipts(START, 100), await store.sweepReceipts(START + 1, 100)];
    // Ten of 128 KiB for each end, five to a pack.
    expect(swept).toEqual([2, 2]);
    expect((await store.read("k1", ["r:c0", "r:c1"]))?.docs.size).toBe(0);
  });

  test("keep a call's receipt when the call is put again, and answer it through the ledger", async () => {
    const ledger = openLedger({ store, clock: systemClock, random: systemRandom, log: quiet });
    const { key } = await ledger.issue(budget({ expiresAt: Date.now() + 3_600_000 }));
    const sent = await ledger.reserve(key.keyId, ask());
    if (sent.kind !== "forward") throw new Error("expected a send");
    const outcome = paid(1_000_000, { receipt: "sealed answer", pricePending: true });
    const call = await ledger.finish(key.keyId, sent.call.id, sent.send, outcome);
    await ledger.adjust(call, 900_000, "the vendor's price");
    expect(await ledger.receipt(key.keyId, call.id)).toBe("sealed answer");
    expect((await store.read(key.keyId, []))?.state.spentMicros).toBe(900_000);
  });

  test("that two instances write come in the order of their creation, each once, whoever lists them", async () => {
    const other = await openFirestoreStore({ ...place, random: systemRandom });
    const [one, two] = [new KeyWriter(store, "k1"), new KeyWriter(other, "k2")];
    for (let n = 0; n < 40; n += 1) {
      const call = sampleCall(`c${String(n).padStart(2, "0")}`, { createdAt: START + Math.floor(n / 4) });
      await (n % 2 === 0 ? one : two).write([create(call)]);
    }
    const newest = Array.from({ length: 40 }, (_, n) => START + Math.floor((39 - n) / 4));
    for (const lister of [store, other]) {
      for (const limit of [1, 7, 100]) {
        const listed = await all((cursor) => lister.listCalls({}, limit, cursor));
        expect(listed.map(({ createdAt }) => createdAt)).toEqual(newest);
        expect(new Set(ids(listed)).size).toBe(40);
      }
    }
    await other.close();
  });

  test("of hundreds of keys are listed as one row of calls, newest first", async () => {
    const keyIds = Array.from({ length: 65 }, (_, n) => `k${n}`);
    const vendor = (n: number) => (n % 9 === 0 ? "twilio" : "stripe");
    // The keys that one query asks have all the newer rows, those of another the older ones.
    const of = (n: number) => ({ keyId: keyIds[n < 30 ? 30 + n : n % 30]!, vendor: vendor(n) });
    const calls = Array.from({ length: 195 }, (_, n) => sampleCall(`c${n}`, of(n)));
    await new KeyWriter(store, "filler").write(calls.map(create));
    for (const limit of [10, 100]) {
      expect(ids(await all((cursor) => store.listCalls({ keyIds }, limit, cursor)))).toEqual(ids(calls).reverse());
    }
    const twilio = calls.filter((call) => call.vendor === "twilio");
    const found = await all((cursor) => store.listCalls({ keyIds, vendor: "twilio" }, 20, cursor));
    expect(ids(found)).toEqual(ids(twilio).reverse());
    const some = keyIds.slice(0, 40);
    const expected = calls.filter(({ keyId }) => some.includes(keyId));
    expect(ids(await all((cursor) => store.listCalls({ keyIds: some }, 9, cursor)))).toEqual(ids(expected).reverse());
  });

  test("of policies are read as they were written, by id and by principal, three at most", async () => {
    const text = (stringValue: string) => ({ stringValue });
    const policy = (id: string, principals: string[]) => ({
      update: {
        name: `${connection.root}/policies/${id}`,
        fields: {
          version: { integerValue: "1" },
          principal_ids: { arrayValue: { values: principals.map(text) } },
          job: { mapValue: { fields: { one_at_a_time: { booleanValue: true }, containers: { arrayValue: {} } } } },
          budget: { mapValue: { fields: { usd_cap: { doubleValue: 12.5 }, odd: { bytesValue: "AA==" } } } },
          none: { nullValue: "NULL_VALUE" as const },
        },
      },
    });
    await connection.commit([
      policy("nightly", ["a@p.iam", "117"]),
      ...["b1", "b2", "b3", "b4"].map((id) => policy(id, ["b@p.iam"])),
    ]);
    const doc = {
      version: 1,
      principal_ids: ["a@p.iam", "117"],
      job: { one_at_a_time: true, containers: [] },
      // JSON has no bytes: whoever checks the policy refuses what is null.
      budget: { usd_cap: 12.5, odd: null },
      none: null,
    };
    expect(await store.policies?.byId("nightly")).toEqual(doc);
    expect(await store.policies?.byPrincipal("117")).toEqual([{ id: "nightly", doc }]);
    expect(await store.policies?.byPrincipal("b@p.iam")).toHaveLength(3);
    expect(await store.policies?.byPrincipal("a@p")).toEqual([]);
    for (const id of ["none", "../keys/k1", "a/b", "", ".."]) expect(await store.policies?.byId(id), id).toBeNull();
  });
});
