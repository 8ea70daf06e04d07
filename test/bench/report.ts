/** What a process of the bench tells of itself when it is asked over its IPC channel. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Operations } from "./firestore-cost.ts";
import type { TransactionCounts } from "./transaction-ledger.ts";

/** `watch` begins to watch the event loop's delay anew; `collect` collects garbage first (with `--expose-gc`). */
export type Command = "report" | "watch" | "collect";

export interface Report {
  rssBytes: number;
  /** Of its main thread: JavaScript's heap and what it holds outside. */
  heapBytes: number;
  /** User and system time of all its threads since it started, ms. */
  cpuMs: number;
  /** Of its main thread alone, ms. */
  mainCpuMs: number;
  /** Longest delay of the event loop since `watch`, ms. */
  loopDelayMs: number;
  /** What it asked of Firestore since it started; only of processes that count it. */
  operations?: Operations;
  /** Of the baseline with a transaction per call. */
  transactions?: TransactionCounts;
}

const RESOLUTION_MS = 2;

/** @param more what this process counts beside. */
export function answerReports(more: () => Partial<Report> = () => ({})): void {
  // Not running until it is asked for: its timer would cost the figures of throughput a little.
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  process.on("message", (command: Command) => {
    if (command === "watch") {
      delay.reset();
      delay.enable();
    }
    if (command === "collect") globalThis.gc?.();
    const { user, system } = process.cpuUsage();
    const main = process.threadCpuUsage();
    const { heapUsed, external } = process.memoryUsage();
    const report: Report = {
      rssBytes: process.memoryUsage.rss(),
      heapBytes: heapUsed + external,
      cpuMs: (user + system) / 1000,
      mainCpuMs: (main.user + main.system) / 1000,
      // A sample is the time between two ticks of the timer, its own interval included.
      loopDelayMs: Math.max(0, delay.max / 1e6 - RESOLUTION_MS),
      ...more(),
    };
    process.send?.(report);
  });
  // A bench that was killed leaves nothing behind.
  process.on("disconnect", () => process.exit(0));
}
