/**
 * Claim: a running execution asks for its one key. The ID token proves the service account, not the execution: Cloud Run confirms
 * that this execution is of this job, runs as this account, and still runs.
 */
import type { Clock } from "../clock.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { keyIdOf } from "../ledger/open-ledger.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Logger } from "../log.ts";
import { budgetFromPolicy } from "../policies/grant.ts";
import { ownerOf, type Policy, type PolicyJob } from "../policies/policy.ts";
import { isRecordName } from "../stores/records.ts";
import type { Store } from "../stores/store.ts";
import type { VaultKeys } from "../vault-key.ts";
import { type CloudRun, CloudRunUnavailable, type Execution } from "./cloud-run.ts";
import { type VariableDeps, type VariableVendor, variablesOf } from "./injected-variables.ts";
import { readRun } from "./run-record.ts";
import type { Claimed, ClaimRequest, Setup } from "./setup.ts";

export interface ClaimDeps extends VariableDeps {
  ledger: Pick<Ledger, "issue" | "fresh" | "act">;
  store: Pick<Store, "record" | "putRecord">;
  vendors: ReadonlyMap<string, BudgetVendor & VariableVendor>;
  vaultKeys: Pick<VaultKeys, "text" | "ready" | "currentVersion">;
  cloudRun: Pick<CloudRun, "execution">;
  clock: Pick<Clock, "now">;
  log: Logger;
}

/** Short names as Cloud Run gives them: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions (read 2026-11). */
const nameShape = /^[a-z][a-z0-9-]{0,99}$/;

const denied = (sentence: string): Refusal => new Refusal("policy_denied", sentence);

/** Makes {@link Setup.claim}. All tasks and attempts of an execution get the same key, whoever of them asks first. */
export function createClaim(deps: ClaimDeps): Setup["claim"] {
  return async (request) => {
    const { policy, job } = jobOf(request);
    const execution = await confirm(deps, request, job);
    const { created, key } = await keyFor(deps, request, policy, execution);
    const variables = await variablesOf(deps, key, execution.runId);
    if (created) {
      deps.log.info(
        { job: execution.job, execution: execution.name, key_id: key.keyId, label: key.label },
        "an execution claimed its key",
      );
    }
    return { created, key, runId: execution.runId, variables };
  };
}

/** Only the account that the job's tasks run as may claim: a person or a Scheduler could name any execution. */
function jobOf({ principal, job: name }: ClaimRequest): { policy: Policy; job: PolicyJob } {
  const { policy, account } = principal;
  if (policy?.id !== name) throw denied(`a claim for ${name} needs the ID token of that job's own service account`);
  if (!policy.job) throw denied(`policy \`${policy.id}\` has no \`job\`, so no execution can be its own`);
  if (account === null || account !== policy.job.service_account) {
    throw denied(`the tasks of ${name} run as ${policy.job.service_account}; claim with the ID token of that account`);
  }
  return { policy, job: policy.job };
}

async function confirm(deps: ClaimDeps, request: ClaimRequest, job: PolicyJob): Promise<Execution> {
  const { execution: name } = request;
  const found = nameShape.test(name) ? await ask(deps, request, job) : null;
  if (!found) throw new Refusal("not_found", `Cloud Run has no execution ${name.slice(0, 100)} of job ${request.job}`);
  if (found.name !== name || found.job !== request.job) throw denied(`${name} is not an execution of ${request.job}`);
  if (found.serviceAccount !== job.service_account) {
    throw denied(
      `${name} runs as ${found.serviceAccount}, and policy \`${request.job}\` is for ${job.service_account}`,
    );
  }
  if (found.completed) throw denied(`execution ${name} is over; a key is only for one that runs`);
  return found;
}

async function ask({ cloudRun, log }: ClaimDeps, request: ClaimRequest, job: PolicyJob): Promise<Execution | null> {
  const { project, location } = job;
  try {
    return await cloudRun.execution({ project, location, job: request.job }, request.execution);
  } catch (error) {
    if (!(error instanceof CloudRunUnavailable)) throw error;
    log.warn({ err: error, job: request.job, execution: request.execution }, "an execution could not be confirmed");
    throw new Refusal("launch_pending", "Cloud Run cannot confirm the execution now; send the request again");
  }
}

type Found = Pick<Claimed, "created" | "key">;

/** The key that the execution has, else its run's, else a new one. The ledger ties the name to the key in the commit that binds it. */
async function keyFor(deps: ClaimDeps, request: ClaimRequest, policy: Policy, execution: Execution): Promise<Found> {
  const { principal } = request;
  const named = await deps.store.record("execution", execution.name);
  if (named) return { created: false, key: await ownKey(deps, policy, String(named.doc.key_id)) };
  if (execution.runId === null) return deps.ledger.issue(issueRequest(deps, request, policy));
  const key = await runKey(deps, policy, execution.runId);
  return { created: false, key: await bind(deps, key, execution.name, principal.by) };
}

function issueRequest(deps: ClaimDeps, { execution, principal }: ClaimRequest, policy: Policy) {
  return {
    ...budgetFromPolicy(policy, deps.vendors, null, deps.clock.now()),
    label: execution,
    execution,
    // Of the execution, not of the budget: a policy that is changed in mid-run breaks no retry.
    asked: JSON.stringify({ claim: execution }),
    by: principal.by,
    pepperVersion: deps.vaultKeys.currentVersion,
  };
}

/** The run's id is in the execution's environment, which whoever may start the job can write: only a run of this policy counts. */
async function runKey(deps: ClaimDeps, policy: Policy, runId: string): Promise<KeyState> {
  const run = isRecordName(runId) ? await readRun(deps, runId) : null;
  if (run?.doc.policy !== policy.id) {
    throw denied(`KEYBRAKE_RUN_ID of the execution names no run of ${policy.id}; start it without this variable`);
  }
  return ownKey(deps, policy, keyIdOf(ownerOf(policy.id), run.doc.label));
}

/** A stopped run stays stopped: its tasks and their retries get no other key. */
async function ownKey({ ledger, clock }: ClaimDeps, policy: Policy, keyId: string): Promise<KeyState> {
  const key = await ledger.fresh(keyId);
  if (key?.owner !== ownerOf(policy.id))
    throw denied(`the execution's name leads to a key that is not of ${policy.id}`);
  if (key.status === "revoked" || clock.now() >= key.expiresAt) {
    throw new Refusal(
      "label_retired",
      `the key of label "${key.label}" was revoked or has expired; start a new execution`,
    );
  }
  return key;
}

async function bind({ ledger }: ClaimDeps, key: KeyState, execution: string, by: string): Promise<KeyState> {
  try {
    return await ledger.act(key.keyId, { act: "bind", execution, by });
  } catch (error) {
    if (!(error instanceof Refusal && error.code === "call_state")) throw error;
    throw denied(`the run of label "${key.label}" has another execution; start ${execution} without KEYBRAKE_RUN_ID`);
  }
}
