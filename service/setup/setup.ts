/** The setup task: how an execution gets its one key, by launch (we start it) or by claim (it asks). */
import type { Principal } from "../control/principal.ts";
import type { KeyState } from "../ledger/types.ts";

export interface LaunchRequest {
  principal: Principal;
  /** Cloud Run name of the job, and id of its policy. */
  job: string;
  /** Of a Scheduler request: the job of Cloud Scheduler, and the scheduled time as it was sent (`null`: it was not); else `null`. */
  scheduled: { by: string | null; time: string | null } | null;
  /** Manual launches: what tells this run from another. The same label again is the same run. */
  label: string | null;
  /** Less than the policy's cap; `null`: the policy's. */
  capMicros: number | null;
}

export interface Launched {
  runId: string;
  /** `started`: an execution runs or ran. `skipped`: another run of the job has the turn, and no key was made. */
  state: "started" | "skipped";
  /** The run was started by an earlier request. */
  repeated: boolean;
  execution: string | null;
  key: KeyState | null;
}

export interface ClaimRequest {
  principal: Principal;
  job: string;
  execution: string;
}

/** A variable of a task's environment, and what it is made of. */
export interface InjectedVariable {
  name: string;
  /**
   * `credential`: the vault key; a task that knows its index and attempt appends `~index~attempt`. `path`: the proxy's URL with this
   * path behind it. `text`: as it is.
   */
  kind: "credential" | "path" | "text";
  value: string;
}

export interface Claimed {
  /** False when the execution had its key already. */
  created: boolean;
  key: KeyState;
  runId: string | null;
  variables: InjectedVariable[];
}

export interface Setup {
  /**
   * Get-or-create of the run, its key and its execution. Throws `policy_denied`, `not_found` (no such job), `label_retired`,
   * `launch_pending` (503: another request is starting it, or Cloud Run gave no clear answer; send it again), `launch_refused`
   * (502: Cloud Run will not start it; its key is revoked).
   */
  launch(request: LaunchRequest): Promise<Launched>;
  /** The one key of a running execution. Throws `policy_denied`, `not_found`, `label_retired`, `launch_pending` (Cloud Run cannot be asked). */
  claim(request: ClaimRequest): Promise<Claimed>;
}
