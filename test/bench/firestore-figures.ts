/** The lines of the Firestore part: ratios of this run, and what a call costs. */
import type { Figure } from "./figures.ts";
import { dollarsPerMillion, listPrice, type Operations, operationsText } from "./firestore-cost.ts";
import type { InstancesFigure } from "./firestore-instances.ts";
import type { LoadResult } from "./load.ts";
import { median } from "./rounds.ts";

/** Of processes on one key. */
export const PROCESSES = [1, 2, 4] as const;

/** The proxy at all clients together. */
export interface Grouped {
  callsPerSecond: number;
  /** Of one call, and of one call when a single client makes one after the other. */
  operations: Operations;
  alone: Operations;
  /** CPU time of the proxy's process for one call, ms. */
  cpuMsPerCall: number;
}

/** The baseline. */
export interface TransactionPerCall {
  /** Calls whose outcome was committed. */
  callsPerSecond: number;
  result: LoadResult;
  failed: number;
  firstFailure: string | null;
  /** Of one call of a client alone, and of one finished call of all clients; `null` when none was. */
  alone: Operations;
  aloneCallsPerSecond: number;
  crowded: Operations | null;
}

export function groupFigures(clients: number, ours: Grouped, theirs: TransactionPerCall): Figure[] {
  const { callsPerSecond, result, failed, firstFailure } = theirs;
  // Of a baseline that finished nothing at all only a bound is known.
  const floor = Math.max(callsPerSecond, 1 / result.seconds);
  const why = firstFailure === null ? "" : `, the first: ${firstFailure}`;
  return [
    {
      name: "Firestore: group commit ÷ transaction per call",
      value: ours.callsPerSecond / floor,
      unit: "×",
      target: { atLeast: 100 },
      baseline: `the same hop, each reserve and finish its own transaction, ${clients} clients on one key: ${(callsPerSecond * result.seconds).toFixed(0)} calls finished in ${result.seconds.toFixed(0)} s, ${failed} transactions failed${why}`,
    },
    {
      name: "Firestore: the same ÷ one client's transactions",
      value: ours.callsPerSecond / theirs.aloneCallsPerSecond,
      unit: "×",
      target: null,
      baseline: "the transactions of one client after the other, which nobody holds up",
    },
    {
      name: "Firestore: CPU time of the proxy per call",
      value: ours.cpuMsPerCall,
      unit: "ms",
      target: null,
      baseline: "all threads of its process, the client library's included; not the emulator's",
    },
  ];
}

/** Each round is compared with itself: what else the machine does falls on all counts of processes alike. */
export function instanceFigures(rounds: readonly (readonly InstancesFigure[])[]): Figure[] {
  const failed = rounds.flat().reduce((sum, figure) => sum + figure.failed, 0);
  const ratios = PROCESSES.slice(1).map((processes, index): Figure => {
    const of = (what: (figure: InstancesFigure) => number) => median(rounds.map((round) => what(round[index + 1]!)));
    return {
      name: `Firestore: ${processes} processes on one key ÷ one`,
      value: median(rounds.map((round) => round[index + 1]!.callsPerSecond / round[0]!.callsPerSecond)),
      unit: "×",
      target: null,
      baseline: `the ledger without HTTP, the same clients dealt out, all on this machine's cores: ${of(({ conflictsPerCommit }) => conflictsPerCommit).toFixed(2)} conflicts a commit, slowest process at ${of(({ leastShare }) => leastShare * 100).toFixed(0)} % of its share`,
    };
  });
  const name = `Firestore: calls that failed in ${PROCESSES.join(", ")} processes`;
  const baseline = "of all calls of those rounds; where some failed the ratios are of the others";
  return [...ratios, { name, value: failed, unit: "calls", target: { atMost: 0 }, baseline }];
}

/** The least that a transaction per call may be: key and call read and written, twice. */
const barest: Operations = { reads: 4, writes: 4, deletes: 0, laterDeletes: 1, refusedCommits: 0 };

export function costFigures(ours: Grouped, { alone, crowded }: TransactionPerCall): Figure[] {
  const mine = dollarsPerMillion(ours.operations);
  const ratioTo = (naive: Operations): number => mine / dollarsPerMillion(naive);
  const price = `${listPrice.region}, list price of ${listPrice.readOn}, no free tier`;
  const dollars = (operations: Operations): string => `$${dollarsPerMillion(operations).toFixed(2)} a million`;
  return [
    {
      name: "Firestore cost ÷ transaction per call",
      value: ratioTo(alone),
      unit: "×",
      target: { atMost: 0.5 },
      baseline: `${dollars(alone)} with nobody in its way: ${operationsText(alone)}; ${crowded ? `among all clients ${dollars(crowded)}` : "among all clients none finished"}`,
    },
    {
      name: "Firestore cost ÷ the barest transaction",
      value: ratioTo(barest),
      unit: "×",
      target: null,
      baseline: `${dollars(barest)}, reckoned: key and call read and written twice, without chain, object, receipt`,
    },
    {
      name: "Firestore cost of a million calls",
      value: mine,
      unit: "$",
      target: null,
      baseline: `${price}: ${operationsText(ours.operations)} a call`,
    },
    {
      name: "Firestore cost of a million calls, one at a time",
      value: dollarsPerMillion(ours.alone),
      unit: "$",
      target: null,
      baseline: `nobody shares a commit: ${operationsText(ours.alone)} a call`,
    },
  ];
}
