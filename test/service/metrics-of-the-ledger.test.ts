/**
 * Goal: what the ledger reports as moved adds up to its books, also when the store answers conflict or loses its answer, and when
 * several instances share the keys.
 * Method: parallel calls of every outcome on three ledgers over one store in memory that injects those faults by seed; afterwards
 * the sums of all reports are compared with the key's balance and with its calls.
 * Limit: a commit that is given up because the store stays away, and lands all the same, is in the books and in no report.
 */
import { expect, test } from "vitest";
import type { Outcome } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { LandedCommit, Metrics, Move } from "../../service/metrics/metrics.ts";
import { seededFloat } from "../../service/stores/faults.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { Commit, CommitResult } from "../../service/stores/store.ts";
import { readBooks } from "../ledger/books.ts";
import { ask, declined, forward, issued, ManualClock, paid, quiet, seededRandom, timedOut } from "../ledger/fixture.ts";

class Recorded implements Metrics {
  readonly commits: LandedCommit[] = [];
  readonly repeats = { conflict: 0, exists: 0, doubt: 0 };
  failures = 0;

  ended(): void {
    throw new Error("the ledger ends no requests");
  }
  committed(commit: LandedCommit): void {
    this.commits.push(commit);
  }
  repeated(why: "conflict" | "exists" | "doubt"): void {
    this.repeats[why] += 1;
  }
  uncommitted(): void {
    this.failures += 1;
  }
  sum(of: keyof Omit<Move, "vendor" | "endpoint">): number {
    return this.commits.flatMap(({ moves }) => moves).reduce((sum, move) => sum + move[of], 0);
  }
}

const outcomes: readonly Outcome[] = [paid(700_000), paid(1_000_000), declined, timedOut];

/** 60 calls of every outcome, spread over the ledgers; then each unknown one is looked at, and the first settled ones cost less. */
async function work(seed: number, metrics: Recorded) {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, faults: { seed, conflict: 0.15, doubt: 0.2, turns: 3 } });
  const ledgers = [0, 1, 2].map((n) =>
    openLedger({ store, clock, random: seededRandom(seed * 10 + n), log: quiet, metrics }),
  );
  const { keyId } = await issued(ledgers[0]!);
  const float = seededFloat(seed);
  const plan = Array.from({ length: 60 }, (_, n) => ({
    ledger: ledgers[n % 3]!,
    outcome: outcomes[Math.floor(float() * 4)]!,
  }));
  const calls = await Promise.all(
    plan.map(async ({ ledger, outcome }, n) => {
      const sent = await forward(ledger, keyId, ask({ canonical: `call ${n}` }));
      // Some are left reserved.
      return n % 10 === 9 ? sent.call : ledger.finish(keyId, sent.call.id, sent.send, outcome);
    }),
  );
  const unknown = calls.filter(({ state }) => state === "unknown");
  await Promise.all(unknown.slice(0, 4).map((call, n) => ledgers[n % 3]!.settleByHand(call, 300_000, "admin", "seen")));
  await Promise.all(unknown.slice(4, 6).map((call) => ledgers[1]!.releaseByHand(call, "admin", "not there")));
  const settled = calls.filter(({ state }) => state === "settled");
  await Promise.all(settled.slice(0, 5).map((call) => ledgers[2]!.adjust(call, 500_000, "the true price")));
  return readBooks(store, keyId);
}

test.each([1, 2, 3, 4, 5, 6, 7, 8])("reports add up to the books, seed %i", async (seed) => {
  const metrics = new Recorded();
  const { key, calls } = await work(seed, metrics);
  const heldBy = (state: string) =>
    calls.filter((call) => call.state === state).reduce((sum, { reservedMicros }) => sum + reservedMicros, 0);
  expect(metrics.failures).toBe(0);
  expect(metrics.repeats.conflict * metrics.repeats.doubt).toBeGreaterThan(0);
  expect(key.spentMicros * heldBy("unknown") * heldBy("reserved")).toBeGreaterThan(0);
  expect(metrics.sum("spentMicros")).toBe(key.spentMicros);
  expect(metrics.sum("reservedMicros")).toBe(key.reservedMicros);
  expect(metrics.sum("unknownMicros")).toBe(heldBy("unknown"));
  for (const { calls: size, ms } of metrics.commits) expect([size > 0, ms >= 0]).toEqual([true, true]);
});

/** Answers that a commit's fate is not known, and writes it only when the next one comes. */
class LateStore extends MemoryStore {
  late = false;
  #held: (() => Promise<unknown>) | null = null;

  override async commit(keyId: string, commit: Commit): Promise<CommitResult> {
    if (this.late) {
      this.late = false;
      this.#held = () => super.commit(keyId, commit);
      return { kind: "doubt" };
    }
    await this.#held?.();
    this.#held = null;
    return super.commit(keyId, commit);
  }
}

test("a commit that lands after it was looked for in vain is reported once", async () => {
  const metrics = new Recorded();
  const clock = new ManualClock();
  const store = new LateStore({ clock });
  const ledger = openLedger({ store, clock, random: seededRandom(1), log: quiet, metrics });
  const { keyId } = await issued(ledger);
  store.late = true;
  await forward(ledger, keyId, ask({ quoteMicros: 700_000 }));
  expect(metrics.repeats).toEqual({ conflict: 1, exists: 0, doubt: 1 });
  expect(metrics.commits).toHaveLength(1);
  expect(metrics.sum("reservedMicros")).toBe(700_000);
  expect((await readBooks(store, keyId)).key.reservedMicros).toBe(700_000);
});
