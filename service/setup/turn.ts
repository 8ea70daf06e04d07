/**
 * A job that runs one at a time: which of its runs has the turn. A run keeps it until its execution is over; one that never started
 * keeps it as long as somebody tries, so that no crash blocks the job.
 */
import type { Version } from "../stores/store.ts";
import type { CloudRun, JobName } from "./cloud-run.ts";
import { findExecution, isOver, pending } from "./find-execution.ts";
import { changeRun, type Run, type RunStore, readRun } from "./run-record.ts";

/** A run that nobody has tried to start for so long has lost its turn, ms. */
const PATIENCE_MS = 600_000;
const MAX_TRIES = 10;

export interface TurnDeps extends RunStore {
  cloudRun: CloudRun;
}

/** Throws `launch_pending` while it cannot be known. */
export async function takeTurn(
  deps: TurnDeps,
  policyId: string,
  job: JobName,
  run: Run,
  /** Called for a run that lost its turn before it had an execution. */
  closed: (left: Run) => Promise<void>,
): Promise<{ kind: "mine" } | { kind: "taken"; by: string }> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const there = await deps.store.record("turn", policyId);
    const holder = typeof there?.doc.run_id === "string" ? there.doc.run_id : null;
    if (holder === run.id) return { kind: "mine" };
    if (holder !== null && (await goesOn(deps, job, holder, closed))) return { kind: "taken", by: holder };
    if (await put(deps, policyId, run.id, there?.version ?? null)) return { kind: "mine" };
  }
  throw pending(`other runs of ${job.job} are taking turns`);
}

async function put({ store }: TurnDeps, policyId: string, runId: string, version: Version | null): Promise<boolean> {
  const write = { kind: "turn", name: policyId, doc: { run_id: runId }, version, expiresAt: null } as const;
  return (await store.putRecord(write)) !== null;
}

/** Whether the run that has the turn goes on. One that is left without an execution is closed first, so that it cannot start later. */
async function goesOn(
  deps: TurnDeps,
  job: JobName,
  runId: string,
  closed: (left: Run) => Promise<void>,
): Promise<boolean> {
  const run = await readRun(deps, runId);
  if (run === null || run.doc.state === "failed") return false;
  if (run.doc.state === "skipped") {
    // Once more: the one that closed it may have ended in between.
    if (run.doc.attempts > 0) await closed(run);
    return false;
  }
  if (run.doc.execution !== null) return !(await isOver(deps.cloudRun, job, run.doc.execution));
  const found = run.doc.attempts > 0 ? await findExecution(deps.cloudRun, job, run) : null;
  if (found) return !found.completed;
  if (deps.clock.now() < Math.max(run.doc.lease_until, run.doc.updated_at) + PATIENCE_MS) {
    throw pending(`run ${runId} has the turn of ${job.job} and is being started`);
  }
  const left = await changeRun(deps, run, { state: "skipped", holder: null, last_result: "left without an execution" });
  if (left === null) throw pending(`run ${runId} has the turn of ${job.job} and is being started`);
  await closed(left);
  return false;
}
