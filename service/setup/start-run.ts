/** One attempt to start a run's execution, under a lease: the turn, the key, and at most one `jobs.run`. */
import type { Clock, Random } from "../clock.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Logger } from "../log.ts";
import { budgetFromPolicy } from "../policies/grant.ts";
import type { Policy, PolicyJob } from "../policies/policy.ts";
import type { VaultKeys } from "../vault-key.ts";
import type { ContainerOverride, JobName } from "./cloud-run.ts";
import { closeKey } from "./complete-run.ts";
import { findExecution, pending } from "./find-execution.ts";
import { changeRun, type Run, readRun } from "./run-record.ts";
import type { InjectedVariable } from "./setup.ts";
import { type TurnDeps, takeTurn } from "./turn.ts";

export interface StartDeps extends TurnDeps {
  clock: Clock;
  random: Random;
  log: Logger;
  ledger: Pick<Ledger, "issue" | "act" | "fresh">;
  vendors: ReadonlyMap<string, BudgetVendor>;
  vaultKeys: Pick<VaultKeys, "currentVersion">;
  /** What the tasks of an execution with this key find in their environment. */
  variables(key: KeyState, runId: string): Promise<readonly InjectedVariable[]>;
}

/**
 * How long a start is one request's alone, ms. It is also how long an unclear answer is waited out: a request that Cloud Run still
 * works on is in no listing yet.
 */
export const LEASE_MS = 60_000;
/** With less than this left of the lease nothing is sent, ms: the answer must come within it. */
const SEND_MS = 30_000;
const MAX_TRIES = 5;

/** What stays the same while a run is started. */
export interface Plan {
  policy: Policy;
  job: JobName;
  settings: PolicyJob;
  /** Who asks, for the chain. */
  by: string;
}

interface Started {
  /** `null`: another request was faster; read the run again. */
  run: Run | null;
  /** This attempt started it. */
  mine: boolean;
}

const moved = (run: Run | null): Started => ({ run, mine: false });

/** Throws `launch_pending`, and what stands in the way of a key: `label_retired`, `policy_denied`. */
export async function startRun(deps: StartDeps, plan: Plan, run: Run): Promise<Started> {
  const { policy, job, settings, by } = plan;
  if (settings.one_at_a_time && run.doc.attempts === 0) {
    const turn = await takeTurn(deps, policy.id, job, run, (left) => closeKey(deps, left, by, "the run was left"));
    if (turn.kind === "taken") {
      return moved(await changeRun(deps, run, { state: "skipped", last_result: `run ${turn.by} goes on` }));
    }
  }
  const key = await keyOf(deps, plan, run);
  if (key instanceof Refusal) {
    // Nothing is started for a key that is over; but what was started before stays started.
    const found = run.doc.attempts > 0 ? await findExecution(deps.cloudRun, job, run) : null;
    if (found) return moved(await recordStarted(deps, run, found.name));
    throw key;
  }
  const overrides = overridesOf(settings, await deps.variables(key, run.id));
  const leased = await changeRun(deps, run, {
    state: "starting",
    key_id: key.keyId,
    holder: deps.random.bytes(12).toString("base64url"),
    lease_until: deps.clock.now() + LEASE_MS,
    attempts: run.doc.attempts + 1,
  });
  if (leased === null) return moved(null);
  if (run.doc.attempts > 0) {
    const found = await lookUnderLease(deps, job, leased);
    if (found) return moved(await recordStarted(deps, leased, found.name));
  }
  return send(deps, job, leased, overrides);
}

/** @returns the refusal, when the label's key was revoked or has expired. */
async function keyOf(deps: StartDeps, { policy, by }: Plan, run: Run): Promise<KeyState | Refusal> {
  const { label, cap_micros: capMicros } = run.doc;
  try {
    const issued = await deps.ledger.issue({
      ...budgetFromPolicy(policy, deps.vendors, capMicros, deps.clock.now()),
      label,
      execution: null,
      // Of the run, not of the budget: a policy that is changed in mid-run breaks no retry.
      asked: JSON.stringify({ run: run.id, usd_cap_micros: capMicros }),
      by,
      pepperVersion: deps.vaultKeys.currentVersion,
    });
    return issued.key;
  } catch (error) {
    if (error instanceof Refusal && error.code === "label_retired") return error;
    throw error;
  }
}

function overridesOf({ containers: named }: PolicyJob, variables: readonly InjectedVariable[]): ContainerOverride[] {
  // URLs are in the job's template, and Cloud Run merges.
  const set = variables.filter(({ kind }) => kind !== "path").map(({ name, value }) => [name, value] as const);
  const containers: (string | null)[] = named.length === 0 ? [null] : named;
  return containers.map((container) => ({ container, env: Object.fromEntries(set) }));
}

/** As {@link findExecution}; gives the lease back when Cloud Run cannot be asked, for nothing was sent under it. */
async function lookUnderLease(deps: StartDeps, job: JobName, leased: Run): ReturnType<typeof findExecution> {
  try {
    return await findExecution(deps.cloudRun, job, leased);
  } catch (error) {
    await changeRun(deps, leased, { holder: null, lease_until: 0 });
    throw error;
  }
}

async function send(
  deps: StartDeps,
  job: JobName,
  leased: Run,
  overrides: readonly ContainerOverride[],
): Promise<Started> {
  // A process that stood still must not start what another has taken over.
  if (deps.clock.now() > leased.doc.lease_until - SEND_MS)
    throw pending(`the lease on run ${leased.id} is nearly over`);
  const result = await deps.cloudRun.run(job, overrides);
  const facts = { run_id: leased.id, job: job.job, key_id: leased.doc.key_id, attempt: leased.doc.attempts };
  switch (result.kind) {
    case "started":
      deps.log.info({ ...facts, execution: result.execution }, "execution started");
      return { run: await recordStarted(deps, leased, result.execution), mine: true };
    case "refused": {
      const why = `${result.reason} (${result.status})`;
      deps.log.error({ ...facts, reason: why }, "Cloud Run refused to start the execution");
      return moved(await changeRun(deps, leased, { state: "failed", holder: null, last_result: why }));
    }
    case "busy":
      await changeRun(deps, leased, { state: "pending", holder: null, lease_until: 0, last_result: result.reason });
      throw pending(`Cloud Run takes no request now: ${result.reason}`);
    case "unclear": {
      deps.log.warn({ ...facts, reason: result.reason }, "Cloud Run gave no clear answer");
      const until = deps.clock.now() + LEASE_MS;
      await changeRun(deps, leased, { holder: null, lease_until: until, last_result: result.reason });
      throw pending(`Cloud Run gave no clear answer: ${result.reason}`);
    }
  }
}

/** The execution is the run's from now on. @returns the run as it is then. */
export async function recordStarted(
  deps: Pick<StartDeps, "store" | "clock" | "retentionMs" | "log">,
  run: Run,
  execution: string,
): Promise<Run | null> {
  let known: Run | null = run;
  for (let tries = 0; known !== null && tries < MAX_TRIES; tries += 1) {
    const { state, execution: other } = known.doc;
    if (state === "started" || state === "failed" || state === "skipped") {
      if (other !== execution) {
        deps.log.error({ run_id: run.id, execution, state, other }, "an execution of this run is not the run's own");
      }
      return known;
    }
    const change = { state: "started", execution, holder: null, last_result: null } as const;
    const changed = await changeRun(deps, known, change);
    if (changed) return changed;
    known = await readRun(deps, run.id);
  }
  return null;
}
