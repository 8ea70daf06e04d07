/**
 * Goal: the ledger equals the calls that were made, whatever becomes of the line to Firestore, and goes on by itself when the line
 * is back. Method: the real ledger and store on the emulator, through a TCP hop that cuts at any byte, holds everything back, or is
 * not there; the books are read over another connection and audited from nothing. Limit: the interleavings that these seeds meet;
 * Google's front ends, which may repeat a request of their own accord, are not there.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { seededFloat } from "../../service/stores/faults.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { type Store, StoreUnavailable } from "../../service/stores/store.ts";
import { audit } from "../ledger/books.ts";
import { ask, budget, codeOf, ownKey, paid, quiet } from "../ledger/fixture.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";
import { type BadLine, startBadLine } from "./bad-line.ts";
import { create, KeyWriter, sampleCall } from "./samples.ts";

const DEADLINE_MS = 1_500;

describeOnEmulator("Firestore over a bad line", (emulator) => {
  let line: BadLine;
  let store: Store;
  let direct: Store;
  let ledger: Ledger;
  beforeEach(async () => {
    line = await startBadLine(emulator.host);
    const [project = "", database = ""] = freshStore().replace("firestore:", "").split("/");
    const place = { project, database, random: systemRandom, deadlineMs: DEADLINE_MS };
    store = await openFirestoreStore({ ...place, emulator: line.host });
    direct = await openFirestoreStore({ ...place, emulator: emulator.host, deadlineMs: 20_000 });
    // An emulator that has just started takes its time over the first requests.
    await direct.settingOnce("awake", "yes");
    await back();
    ledger = openLedger({ store, clock: systemClock, random: systemRandom, log: quiet });
  });
  afterEach(async () => {
    line.release();
    await line.stop();
    await Promise.all([store.close(), direct.close()]);
  });

  const issue = async () => (await ledger.issue(budget({ expiresAt: Date.now() + 3_600_000 }))).key.keyId;

  /** Until Firestore answers again: the client library makes its connection anew after a short pause. */
  async function back(): Promise<void> {
    for (let tries = 0; tries < 200; tries += 1) {
      const answered = await store.setting("any").then(
        () => true,
        () => false,
      );
      if (answered) return;
      await delay(50);
    }
    throw new Error("Firestore did not come back");
  }

  test("that is not there: reads, commits and reservations are refused as unavailable, and go on when it is back", async () => {
    const keyId = await issue();
    const key = new KeyWriter(store, "k1");
    await key.write();
    await line.down();
    await expect(store.read("k1", [])).rejects.toThrow(StoreUnavailable);
    await expect(store.listCalls({}, 10, null)).rejects.toThrow(StoreUnavailable);
    await expect(store.commit("k1", key.next([]))).rejects.toThrow(StoreUnavailable);
    expect(await codeOf(ledger.reserve(keyId, ask({ clientKey: ownKey("lost") })))).toBe("ledger_unavailable");
    await line.up();
    await back();
    await key.write([create(sampleCall("c1"))]);
    expect((await ledger.reserve(keyId, ask({ clientKey: ownKey("made") }))).kind).toBe("forward");
    const { calls } = await audit(direct, keyId);
    expect(calls).toHaveLength(1);
  });

  test("that holds everything back: a commit is in doubt at its deadline, and what lands later is found", async () => {
    const key = new KeyWriter(store, "k1");
    await key.write();
    line.hold();
    await expect(store.read("k1", [])).rejects.toThrow(StoreUnavailable);
    const commit = key.next([create(sampleCall("c1"))]);
    expect(await store.commit("k1", commit)).toEqual({ kind: "doubt" });
    line.release();
    await back();
    expect((await store.commit("k1", commit)).kind).toMatch(/^(committed|conflict|exists)$/);
    expect((await direct.read("k1", ["c:c1"]))?.docs.size).toBe(1);
  });

  test("that is cut after a request was sent: the answer is lost, and the commit is not claimed to have failed", async () => {
    const key = new KeyWriter(store, "k1");
    await key.write();
    line.cutAfter("answers", 0);
    const commit = key.next([create(sampleCall("c1"))]);
    expect(await store.commit("k1", commit)).toEqual({ kind: "doubt" });
    expect(line.cuts).toBe(1);
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await direct.read("k1", ["c:c1"]))?.docs.size === 1) break;
      await delay(20);
    }
    expect((await direct.read("k1", ["c:c1"]))?.docs.size).toBe(1);
  });

  for (const seed of [1, 2, 3]) {
    test(`that is cut at any byte, both ways (seed ${seed}): no call is lost, none counts twice`, async () => {
      const float = seededFloat(seed);
      const keyId = await issue();
      const known: string[] = [];
      let refused = 0;
      const call = async (name: string): Promise<void> => {
        try {
          const sent = await ledger.reserve(keyId, ask({ clientKey: ownKey(name), quoteMicros: 10_000 }));
          const { call } = await insist(() => ledger.finish(keyId, sent.call.id, sendOf(sent), paid(7_000)));
          known.push(call.id);
        } catch (error) {
          if (codeOfError(error) !== "ledger_unavailable") throw error;
          refused += 1;
        }
      };
      for (let round = 0; round < 25; round += 1) {
        // Small numbers meet the frames of HTTP/2, large ones the middle of a commit.
        line.cutAfter(float() < 0.5 ? "answers" : "requests", Math.floor(float() * (float() < 0.5 ? 200 : 12_000)));
        await Promise.all(Array.from({ length: 6 }, (_, n) => call(`call ${round} ${n}`)));
      }
      await back();
      await ledger.fresh(keyId);
      const { calls, key } = await audit(direct, keyId);
      const settled = calls.filter(({ state }) => state === "settled").map(({ id }) => id);
      expect(settled.toSorted()).toEqual(known.toSorted());
      expect(key.spentMicros).toBe(known.length * 7_000);
      // A reservation whose answer was lost may be there, unsent; it holds its money until it is looked into.
      expect(calls.length - settled.length).toBeLessThanOrEqual(refused);
      expect(line.cuts).toBeGreaterThan(10);
      expect(known.length).toBeGreaterThan(10);
    });
  }
});

/** The data plane repeats an outcome until it lands. */
async function insist<T>(run: () => Promise<T>): Promise<{ call: T }> {
  for (let tries = 0; tries < 100; tries += 1) {
    try {
      return { call: await run() };
    } catch (error) {
      if (codeOfError(error) !== "ledger_unavailable") throw error;
      await delay(20);
    }
  }
  throw new Error("an outcome never landed");
}

const codeOfError = (error: unknown): unknown => (error as { code?: unknown }).code;
const sendOf = (reservation: Awaited<ReturnType<Ledger["reserve"]>>): number =>
  reservation.kind === "forward" ? reservation.send : 0;
