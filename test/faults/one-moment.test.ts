/**
 * Goal: the store never gives the ledger a key with documents of another moment, though the emulator shows a commit's documents one
 * after the other. Method: a scripted connection that answers as the emulator was seen to; and the emulator itself under writes,
 * where each document of a commit carries its number. Limit: as many moments as a few seconds have.
 */
import { describe, expect, test } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { FirestoreStore, openFirestoreStore } from "../../service/stores/firestore.ts";
import { docAs, StoreUnavailable } from "../../service/stores/store.ts";
import { ScriptedConnection } from "../stores/firestore-scripted.ts";
import { create, KeyWriter, put, sampleCall } from "../stores/samples.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";

const EARLIER = "1795341513.999999999";
const LATER = "1795341514.000000001";

describe("a key and its documents", () => {
  async function written() {
    const connection = new ScriptedConnection();
    const store = new FirestoreStore(connection, systemRandom, 1);
    await new KeyWriter(store, "k1").write([create(sampleCall("c1"))]);
    connection.found("keys/k1", EARLIER);
    connection.found("calls/c1", LATER);
    return { connection, store };
  }

  test("are asked again when a document is newer than its key", async () => {
    const { connection, store } = await written();
    const asked = connection.get.bind(connection);
    connection.get = async (paths) => {
      const found = await asked(paths);
      connection.found("keys/k1", LATER);
      return found;
    };
    expect((await store.read("k1", ["c:c1"]))?.version).toBe(LATER);
    expect(connection.reads).toHaveLength(2);
  });

  test("that never agree are unavailable", async () => {
    const { store } = await written();
    await expect(store.read("k1", ["c:c1"])).rejects.toThrow(StoreUnavailable);
  });

  test("the key is the last that a commit writes, so that whoever sees it sees the rest", async () => {
    const { connection } = await written();
    expect(connection.commits[0]?.at(-1)?.update?.name).toMatch(/\/keys\/k1$/);
  });
});

describeOnEmulator("on the emulator, a read under writes", (emulator) => {
  test("shows the key and 20 documents of one commit", { timeout: 60_000 }, async () => {
    const [project = "", database = ""] = freshStore().replace("firestore:", "").split("/");
    const where = { project, database, emulator: emulator.host, random: systemRandom, deadlineMs: 20_000 };
    const [store, other] = [await openFirestoreStore(where), await openFirestoreStore(where)];
    const names = Array.from({ length: 20 }, (_, n) => `c${n}`);
    const key = new KeyWriter(store, "k1");
    await key.write(names.map((name) => create(sampleCall(name, { sends: 1 }))));
    let writing = true;
    const read = async (): Promise<number> => {
      let reads = 0;
      for (; writing; reads += 1) {
        const seen = await other.read(
          "k1",
          names.map((name) => `c:${name}` as const),
        );
        const sends = names.map((name) => docAs(seen!.docs, "c", name)?.sends);
        expect(sends).toEqual(names.map(() => seen!.state.sequence));
      }
      return reads;
    };
    const readers = Promise.all(Array.from({ length: 4 }, read));
    for (let n = 2; n < 150; n += 1) await key.write(names.map((name) => put(sampleCall(name, { sends: n }))));
    writing = false;
    expect((await readers).reduce((sum, reads) => sum + reads, 0)).toBeGreaterThan(100);
    await Promise.all([store.close(), other.close()]);
  });
});
