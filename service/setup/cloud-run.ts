/** What the setup task asks of Cloud Run Jobs. `google/cloud-run-api.ts` asks Google; a test may answer by itself. */

export interface JobName {
  project: string;
  location: string;
  job: string;
}

/** An execution, as far as the setup task reads it (https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs.executions, read 2026-11). */
export interface Execution {
  /** Short name: what a task sees as CLOUD_RUN_EXECUTION. */
  name: string;
  job: string;
  serviceAccount: string;
  /** No task of it will run any more. */
  completed: boolean;
  /** `KEYBRAKE_RUN_ID` in the environment of its containers; `null` when it was started without us. */
  runId: string | null;
  createdAt: number;
}

export interface ContainerOverride {
  /** `null`: the job's only container. */
  container: string | null;
  env: Readonly<Record<string, string>>;
  args?: readonly string[];
}

export type RunResult =
  | { kind: "started"; execution: string }
  /** Cloud Run refused it for a reason that will not pass (a definite 4xx): nothing runs. */
  | { kind: "refused"; status: number; reason: string }
  /** It was not taken now (429): nothing runs. */
  | { kind: "busy"; reason: string }
  /** 5xx, a timeout, a lost answer: an execution may have been started. */
  | { kind: "unclear"; reason: string };

export interface CloudRun {
  /** `jobs.run` with overrides. Never throws. */
  run(job: JobName, overrides: readonly ContainerOverride[]): Promise<RunResult>;
  /** @returns `null` when there is no such execution. Throws {@link CloudRunUnavailable}. */
  execution(job: JobName, execution: string): Promise<Execution | null>;
  /** Executions of the job that were created at or after `since` (ms), newest first; bounded. Throws {@link CloudRunUnavailable}. */
  executionsSince(job: JobName, since: number): Promise<Execution[]>;
}

/** Cloud Run cannot be asked now, or does not let the proxy ask. The message says which, in one sentence. */
export class CloudRunUnavailable extends Error {
  override name = "CloudRunUnavailable";
}
