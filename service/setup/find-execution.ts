/** A run's execution, found again by the run's id in its environment: the only trace of a start whose answer was lost. */
import { Refusal } from "../errors.ts";
import { type CloudRun, CloudRunUnavailable, type Execution, type JobName } from "./cloud-run.ts";
import type { Run } from "./run-record.ts";

/** Our clock and Cloud Run's may differ by this much, ms. */
const CLOCKS_APART_MS = 300_000;

/** @returns `null` when no execution carries the run's id. Throws `launch_pending` when Cloud Run cannot be asked. */
export async function findExecution(cloudRun: CloudRun, job: JobName, run: Run): Promise<Execution | null> {
  return orPending(async () => {
    const found = await cloudRun.executionsSince(job, run.doc.created_at - CLOCKS_APART_MS);
    // The oldest: what a start that was lost twice left behind is bound to nothing else.
    return found.filter(({ runId }) => runId === run.id).at(-1) ?? null;
  });
}

/** Whether tasks of this execution may still run; one that Cloud Run does not know any more is over. */
export async function isOver(cloudRun: CloudRun, job: JobName, execution: string): Promise<boolean> {
  return orPending(async () => (await cloudRun.execution(job, execution))?.completed ?? true);
}

async function orPending<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof CloudRunUnavailable)) throw error;
    throw pending(error.message.replace(/[.\s]+$/, ""));
  }
}

/** 503 `launch_pending`. */
export function pending(why: string): Refusal {
  return new Refusal("launch_pending", `${why}; send the request again, nothing starts twice`);
}
