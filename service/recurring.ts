import type { Clock } from "./clock.ts";
import type { Logger } from "./log.ts";

export interface Recurring {
  clock: Clock;
  log: Logger;
  /** What it is, for the log. */
  what: string;
  signal: AbortSignal;
}

/** Does `work` every `ms`, one run at a time; a run that fails is logged. Resolves when `signal` aborts and the last run is over. */
export async function every(ms: number, work: () => Promise<unknown>, options: Recurring): Promise<void> {
  const { clock, log, what, signal } = options;
  while (!signal.aborted) {
    try {
      await clock.delay(ms, signal);
    } catch {
      return;
    }
    await work().catch((error: unknown) => log.error({ err: error }, `${what} failed; it is tried again later`));
  }
}
