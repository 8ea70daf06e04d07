/**
 * Goal: the bench's Firestore figures are what they say: operations are counted as they are billed, and the baseline does the same
 * work as the proxy's ledger, only in transactions of its own. Method: the counter on a client that answers by itself, the
 * arithmetic on known numbers, and one call through both ledgers on the emulator, whose documents and sums must be alike.
 * Limit: what Google bills is read from its price list, not from a bill.
 */
import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { ask, budget, ownKey, paid, quiet } from "../ledger/fixture.ts";
import { describeOnEmulator } from "../support/on-emulator.ts";
import { met } from "./figures.ts";
import { dollarsPerMillion, noOperations, type Operations, perCall } from "./firestore-cost.ts";
import { costFigures, groupFigures, instanceFigures, type TransactionPerCall } from "./firestore-figures.ts";
import type { InstancesFigure } from "./firestore-instances.ts";
import { type CountedClient, countOperations, OperationCounter } from "./firestore-operations.ts";
import { TransactionLedger } from "./transaction-ledger.ts";

type Request = Parameters<CountedClient["commit"]>[0];

/** Refuses a commit of nothing, and finds as many rows as it is told. */
function scene(rows = 0) {
  const client: CountedClient = {
    commit: async ({ writes }: Request) => {
      if (!writes?.length) throw new Error("refused");
      return [{}];
    },
    batchGetDocuments: () => new EventEmitter(),
    runQuery: () => {
      const stream = new EventEmitter();
      setImmediate(() => {
        for (let row = 0; row < rows; row += 1) stream.emit("data", { document: { name: `calls/${row}` } });
        stream.emit("data", { readTime: {} });
        stream.emit("end");
      });
      return stream;
    },
  };
  const counter = new OperationCounter();
  counter.watch(client);
  return { client, counter };
}

const row = (name: string, fields = {}) => ({ update: { name, fields } });
const expiring = { expireAt: { timestampValue: { seconds: "1" } } };

describe("the counter of operations", () => {
  it("counts writes and deletes of commits that landed, and refused ones apart", async () => {
    const { client, counter } = scene();
    await client.commit({ writes: [row("keys/a"), row("calls/b"), { delete: "docs/c" }] });
    await expect(client.commit({ writes: [] })).rejects.toThrow("refused");
    expect(counter.counts).toEqual({ ...noOperations, writes: 2, deletes: 1, refusedCommits: 1 });
  });

  it("counts each document that has an end once, and none that is deleted already", async () => {
    const { client, counter } = scene();
    await client.commit({ writes: [row("calls/a"), row("calls/b", expiring), row("receipts/c", expiring)] });
    await client.commit({ writes: [row("calls/a", expiring), row("calls/b", expiring), { delete: "receipts/c" }] });
    expect(counter.counts).toMatchObject({ laterDeletes: 2, deletes: 1, writes: 5 });
  });

  it("counts a read for each document that is asked for, found or not, and one at least for each query", async () => {
    const { client, counter } = scene(0);
    client.batchGetDocuments({ documents: ["keys/a", "calls/missing"] });
    await new Promise((resolve) => client.runQuery({}).on("end", resolve));
    expect(counter.counts.reads).toBe(3);
    const full = scene(7);
    await new Promise((resolve) => full.client.runQuery({}).on("end", resolve));
    expect(full.counter.counts.reads).toBe(7);
  });
});

const operations = (over: Partial<Operations>): Operations => ({ ...noOperations, ...over });

describe("the arithmetic", () => {
  it("goes by the list price of 100,000 operations, deletes to come included", () => {
    expect(dollarsPerMillion(operations({ reads: 1 }))).toBeCloseTo(0.3, 9);
    expect(dollarsPerMillion(operations({ writes: 1 }))).toBeCloseTo(0.9, 9);
    expect(dollarsPerMillion(operations({ deletes: 1, laterDeletes: 1 }))).toBeCloseTo(0.2, 9);
    expect(dollarsPerMillion(operations({ refusedCommits: 9 }))).toBe(0);
  });

  it("shares what was done between two counts among the calls", () => {
    const share = perCall(operations({ writes: 10, reads: 4 }), operations({ writes: 40, reads: 4 }), 10);
    expect(share).toEqual(operations({ writes: 3 }));
  });

  const naive: TransactionPerCall = {
    callsPerSecond: 2,
    result: { calls: 30, seconds: 15, failures: 0, firstFailure: null, latencies: [] },
    failed: 1,
    firstFailure: "ABORTED",
    alone: operations({ writes: 6 }),
    aloneCallsPerSecond: 20,
    crowded: null,
  };
  const ours = {
    callsPerSecond: 600,
    operations: operations({ writes: 3 }),
    alone: operations({ writes: 8 }),
    cpuMsPerCall: 0.5,
  };
  const values = (figures: { value: number }[]) => figures.map(({ value }) => value);

  it("compares with what the baseline finished, and with a call less than none when it finished nothing", () => {
    expect(values(groupFigures(50, ours, naive))).toEqual([300, 30, 0.5]);
    expect(values(groupFigures(50, ours, { ...naive, callsPerSecond: 0 }))[0]).toBeCloseTo(600 * 15, 6);
  });

  it("compares the cost with transactions that nobody was in the way of", () => {
    const [ratio] = values(costFigures(ours, { ...naive, crowded: operations({ writes: 60 }) }));
    expect(ratio).toBeCloseTo(0.5, 9);
  });

  it("compares counts of processes within each round", () => {
    const figure = (processes: number, callsPerSecond: number) =>
      ({ processes, callsPerSecond, conflictsPerCommit: 0, failed: 0, leastShare: 1 }) as InstancesFigure;
    // The machine became ten times slower after the first round; the ratios did not change.
    const rounds = [1, 0.1, 0.1].map((speed) => [
      figure(1, 1_000 * speed),
      figure(2, 800 * speed),
      figure(4, 500 * speed),
    ]);
    const [two, four, failed] = instanceFigures(rounds);
    expect(two?.value).toBeCloseTo(0.8, 9);
    expect(four?.value).toBeCloseTo(0.5, 9);
    expect(met(failed!)).toBe(true);
  });
});

it("processes whose calls failed miss their target, whatever their speed", () => {
  const figure = (failed: number) =>
    ({ processes: 1, callsPerSecond: 1, conflictsPerCommit: 0, failed, leastShare: 1 }) as InstancesFigure;
  const failed = instanceFigures([[figure(0), figure(0), figure(1)]]).at(-1)!;
  expect([failed.value, met(failed)]).toEqual([1, false]);
});

describeOnEmulator("one transaction per call", (emulator) => {
  it("leaves the documents and sums of the proxy's own ledger, and costs a transaction for each half of a call", async () => {
    const place = {
      project: `test-${randomBytes(8).toString("hex")}`,
      database: "keybrake",
      emulator: emulator.host,
    };
    const counter = countOperations();
    const store = await openFirestoreStore({ ...place, random: systemRandom });
    const deps = { store, clock: systemClock, random: systemRandom, log: quiet };
    const grouped = openLedger(deps);
    const transactions = new TransactionLedger(deps, place);

    const payWith = async (ledger: Pick<Ledger, "reserve" | "finish">, label: string) => {
      const { key } = await grouped.issue(budget({ label, expiresAt: Date.now() + 3_600_000 }));
      const before = counter.counts;
      const sent = await ledger.reserve(key.keyId, ask({ clientKey: ownKey("one") }));
      if (sent.kind !== "forward") throw new Error("the first call is no repeat");
      const outcome = paid(1_000_000, { objectId: "pi_1", object: "pi_1", receipt: "sealed" });
      const call = await ledger.finish(key.keyId, sent.call.id, sent.send, outcome);
      const cost = perCall(before, counter.counts, 1);
      const snapshot = await store.read(key.keyId, [`c:${call.id}`, `r:${call.id}`]);
      const repeat = await openLedger(deps).reserve(key.keyId, ask({ clientKey: ownKey("one") }));
      return {
        cost,
        repeat: repeat.kind,
        listed: (await store.listCalls({ keyIds: [key.keyId] }, 10, null)).items.map(({ state }) => state),
        open: (await store.listOpenCalls(10, null)).items.length,
        receipt: await grouped.receipt(key.keyId, call.id),
        pages: (await store.listPages(key.keyId, 0, 10)).map(({ records }) => records.map(({ act }) => act)),
        owns: await grouped.ownsObject(key.keyId, "stripe", "pi_1"),
        sums: snapshot && [snapshot.state.spentMicros, snapshot.state.reservedMicros, snapshot.state.counts],
        kept: [...(snapshot?.docs.keys() ?? [])].map((id) => id[0]),
      };
    };
    const ours = await payWith(grouped, "grouped");
    const theirs = await payWith(transactions, "transactions");
    await transactions.close();
    await store.close();

    expect({ ...theirs, cost: null }).toEqual({ ...ours, cost: null });
    expect(theirs).toMatchObject({ repeat: "repeat", listed: ["settled"], open: 0, kept: ["c", "r"] });
    expect(theirs).toMatchObject({ receipt: "sealed", owns: true });
    // Nobody shares a commit with a call alone: the writes are the same, and only the transactions read.
    expect(ours.cost).toMatchObject({ writes: 8, laterDeletes: 5 });
    expect(theirs.cost).toMatchObject({ reads: 5, writes: 8, laterDeletes: 5 });
    expect(transactions.counts).toMatchObject({ reserved: 1, finished: 1, failed: 0 });
  });
});
