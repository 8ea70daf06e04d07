/**
 * Goal: whatever becomes of the line to Firestore, the ledger is the calls that were answered: each acknowledged reservation and
 * outcome is there once, nothing that was refused holds money, and what was answered 503 is there at most once, whole.
 * Method: the real ledger and store on the emulator, through a hop that knows where requests and answers begin and end and harms
 * each place of their life in each way (resets, ends, silence either way or both, a server that is gone, stalls), under 50 clients;
 * the books are read over another line and audited from nothing. `npm run faults` does the same for as long as you like.
 * Limit: the interleavings of these seeds; Google's front ends, which may repeat a request of their own accord, are not there.
 */
import { expect, test } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { audit } from "../ledger/books.ts";
import { ask, budget, codeOf, forward, ownKey, paid, quiet } from "../ledger/fixture.ts";
import { type Harm, type Place, startFaultProxy } from "../support/fault-proxy.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";
import { endureLine, everyFault } from "./line-storm.ts";

const timeout = 90_000;

describeOnEmulator("a line to Firestore that fails", (emulator) => {
  for (const part of [0, 1]) {
    test(`at every place in every way, half ${part + 1}: 50 clients, and the books are what was answered`, {
      timeout,
    }, async () => {
      const faults = everyFault(part + 1).filter((_, index) => index % 2 === part);
      const report = await endureLine({ seed: part + 1, emulator: emulator.host, clients: 50, faults });
      expect(report.happened).toBeGreaterThan(faults.length * 0.8);
      expect(report.unavailable).toBeGreaterThan(0);
      for (const state of ["settled", "released", "unknown", "refused"] as const) {
        expect(report.states[state], state).toBeGreaterThan(0);
      }
    });
  }

  /** A commit that was not carried out is refused or made again; one that was is found. Either way it is there once. */
  const broken: [Place, Harm][] = [
    ["before_request", "reset"],
    ["in_request", "reset"],
    ["in_request", "end"],
    ["request_sent", "reset"],
    ["answer_lost", "reset"],
    ["answer_lost", "end"],
    ["in_answer", "reset"],
    ["answered", "reset"],
    ["request_sent", "deaf"],
    ["in_request", "void"],
  ];
  test.each(broken)("%s, %s: a reservation and its outcome count once", { timeout }, async (place, harm) => {
    const line = await startFaultProxy(emulator.host);
    const [project = "", database = ""] = freshStore().replace("firestore:", "").split("/");
    const where = { project, database, random: systemRandom };
    const store = await openFirestoreStore({ ...where, emulator: line.host, deadlineMs: 700 });
    const direct = await openFirestoreStore({ ...where, emulator: emulator.host, deadlineMs: 20_000 });
    try {
      await direct.settingOnce("awake", "yes");
      const ledger = openLedger({ store, clock: systemClock, random: systemRandom, log: quiet });
      const { key } = await ledger.issue(budget({ expiresAt: Date.now() + 3_600_000 }));
      const request = ask({ clientKey: ownKey("once"), quoteMicros: 10_000 });
      const until = async <T>(run: () => Promise<T>): Promise<T> => {
        for (;;) {
          try {
            return await run();
          } catch (error) {
            if ((await codeOf(Promise.reject(error))) !== "ledger_unavailable") throw error;
            line.heal();
          }
        }
      };
      line.arm({ place, harm });
      const first = await forward(ledger, key.keyId, request).catch(async (error: unknown) => {
        expect(await codeOf(Promise.reject(error))).toBe("ledger_unavailable");
        return null;
      });
      line.heal();
      if (first === null) {
        const again = await codeOf(until(() => ledger.reserve(key.keyId, request)));
        expect([null, "in_progress"]).toContain(again);
      } else {
        line.arm({ place, harm });
        await until(() => ledger.finish(key.keyId, first.call.id, first.send, paid(7_000)));
      }
      expect(line.happened.length).toBeGreaterThan(0);
      line.heal();
      const { calls, key: books } = await audit(direct, key.keyId);
      const made = calls.filter(({ state }) => state !== "refused");
      expect(made.map(({ state, sends }) => [state, sends])).toEqual([[first ? "settled" : "reserved", 1]]);
      expect([books.spentMicros, books.reservedMicros]).toEqual(first ? [7_000, 0] : [0, 10_000]);
    } finally {
      line.heal();
      await Promise.all([store.close(), direct.close()]);
      await line.stop();
    }
  });
});
