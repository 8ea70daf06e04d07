/**
 * Launch: get-or-create of a run, its key and its execution. Every step can be repeated, and none is done on a guess, so that the next
 * request of the same run completes whatever a crash, a lost answer or a duplicate left behind.
 */
import type { Principal } from "../control/principal.ts";
import { Refusal } from "../errors.ts";
import { formatUsd } from "../money.ts";
import type { Policy } from "../policies/policy.ts";
import { closeKey, completeRun } from "./complete-run.ts";
import { findExecution, pending } from "./find-execution.ts";
import { forcedRun } from "./forced-run.ts";
import { nameRun } from "./run-id.ts";
import { createRun, type Run, readRun } from "./run-record.ts";
import type { Launched, LaunchRequest } from "./setup.ts";
import { type Plan, recordStarted, type StartDeps, startRun } from "./start-run.ts";

export interface LaunchDeps extends StartDeps {
  /** The policy of this id as it is now; `null`: there is none. */
  policyOf(id: string): Promise<Policy | null>;
}

/** A duplicate waits so long for the request that is starting the run, ms: a little more than Cloud Run's answer may take. */
const WAIT_MS = 12_000;
const STEP_MS = 250;
const MAX_STEPS = 200;
const MAX_TRIES = 5;
const MAX_LABEL = 200;

/** Throws what {@link Setup.launch} names. */
export async function launch(deps: LaunchDeps, request: LaunchRequest): Promise<Launched> {
  const plan = await planOf(deps, request);
  let run = await openRun(deps, plan, request);
  const end = deps.clock.now() + WAIT_MS;
  let mine = false;
  for (let steps = 0; steps < MAX_STEPS; steps += 1) {
    const { state } = run.doc;
    if (state === "started" || state === "skipped" || state === "failed") return finish(deps, plan, run, !mine);
    let next: Run | null;
    if (state === "pending" || run.doc.lease_until <= deps.clock.now()) {
      const started = await startRun(deps, plan, run);
      mine = started.mine;
      next = started.run;
    } else {
      next = await otherStarts(deps, plan, run, end);
    }
    run = next ?? (await reread(deps, run.id));
  }
  throw pending(`run ${run.id} changes too often`);
}

/** Somebody has the lease: waits for the end of it, or looks whether an unclear request did start something. */
async function otherStarts(deps: LaunchDeps, { job }: Plan, run: Run, end: number): Promise<Run | null> {
  if (run.doc.holder !== null) {
    if (deps.clock.now() >= end) throw pending(`another request is starting run ${run.id}`);
    await deps.clock.delay(STEP_MS);
    return null;
  }
  const found = await findExecution(deps.cloudRun, job, run);
  if (found) return recordStarted(deps, run, found.name);
  throw pending(`it is not clear yet whether run ${run.id} was started: ${run.doc.last_result}`);
}

async function finish(deps: LaunchDeps, { by }: Plan, run: Run, repeated: boolean): Promise<Launched> {
  const { state, last_result: why } = run.doc;
  if (state === "failed") {
    await closeKey(deps, run, by, `Cloud Run refused the execution: ${why}`);
    throw new Refusal("launch_refused", `Cloud Run refused to start run ${run.id}, and its key is revoked: ${why}`, {
      details: { run_id: run.id },
    });
  }
  if (state === "skipped") {
    await closeKey(deps, run, by, `the run was skipped: ${why}`);
    return { runId: run.id, state, repeated, execution: null, key: null };
  }
  return {
    runId: run.id,
    state: "started",
    repeated,
    execution: run.doc.execution,
    key: await completeRun(deps, run, by),
  };
}

async function reread(deps: LaunchDeps, id: string): Promise<Run> {
  const run = await readRun(deps, id);
  if (!run) throw pending(`run ${id} is gone`);
  return run;
}

async function planOf(deps: LaunchDeps, { principal, job: id }: LaunchRequest): Promise<Plan> {
  if (!mayLaunch(principal, id)) throw new Refusal("policy_denied", `your policy is not the one of job ${id}`);
  const policy = await deps.policyOf(id);
  if (!policy?.job) throw new Refusal("not_found", `there is no job ${id}: no policy of this name has a \`job\``);
  if (!policy.budget) throw new Refusal("policy_denied", `the policy of job ${id} has no budget; give it one`);
  const { project, location } = policy.job;
  return { policy, job: { project, location, job: id }, settings: policy.job, by: principal.by };
}

/** A job's policy lets launch that job only; an operator's any. */
const mayLaunch = ({ policy }: Principal, job: string): boolean =>
  policy === null || policy.id === job || policy.sees === "all";

async function openRun(deps: LaunchDeps, plan: Plan, request: LaunchRequest): Promise<Run> {
  const now = deps.clock.now();
  const name = nameRun(request, now, deps.random.bytes(16).toString("hex"));
  const runId = name.forced === null ? name.runId : await forcedRun(deps, name.forced, name.runId, now);
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const run = await readRun(deps, runId);
    if (run) return sameOrThrow(run, request);
    const made = await createRun(deps, runId, {
      policy: plan.policy.id,
      job: request.job,
      label: labelOf(request, runId),
      cap_micros: capOf(plan.policy, request),
      scheduled_at: name.scheduledAt,
    });
    if (made) return made;
  }
  throw pending(`run ${runId} could not be written in ${MAX_TRIES} tries`);
}

function sameOrThrow(run: Run, { capMicros, label }: LaunchRequest): Run {
  if (run.doc.cap_micros === capMicros) return run;
  throw new Refusal(
    "label_conflict",
    `run ${run.id} was asked for with another usd_cap; ask for the same one${label === null ? "" : ", or use another label"}`,
    { details: { run_id: run.id } },
  );
}

function labelOf({ job, label }: LaunchRequest, runId: string): string {
  const text = `${job}/${label ?? runId}`;
  if (text.length <= MAX_LABEL) return text;
  throw new Refusal(
    "request_invalid",
    `\`label\` may have ${MAX_LABEL - job.length - 1} characters beside the job's name`,
  );
}

function capOf({ id, budget }: Policy, { capMicros }: LaunchRequest): number | null {
  if (capMicros === null || !budget || capMicros <= budget.usd_cap) return capMicros;
  throw new Refusal(
    "policy_denied",
    `usd_cap is over the $${formatUsd(budget.usd_cap)} of job ${id}; ask for less, or leave it out`,
  );
}
