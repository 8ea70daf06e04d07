/** The local Cloud Run's executions: started, running, cancelled, and as JSON. */
import { randomInt, randomUUID } from "node:crypto";
import { type ExecutionJson, type OperationJson, templateJson } from "./cloud-run-json.ts";
import { type JobResult, runJob } from "./job-runner.ts";
import type { LocalExecution, LocalJob } from "./local-cloud.ts";

export interface ExecutionsOptions {
  project: string;
  location: string;
  logFd: number;
  /** Variables that tell a task of this account where its metadata server is. */
  metadata(serviceAccount: string): Promise<Record<string, string>>;
  onEnd?(execution: string, task: number, attempt: number, succeeded: boolean): void;
  graceMs?: number;
}

/** One execution, with what its tasks have done so far. */
export class Running {
  readonly name: string;
  readonly uid = randomUUID();
  readonly operation = randomUUID();
  readonly createdAt = Date.now();
  readonly job: string;
  /** The job with the overrides. */
  readonly spec: LocalJob;
  readonly cancellation = new AbortController();
  readonly ended: Promise<void>;
  running = 0;
  attempts = 0;
  succeeded = 0;
  readonly retried = new Set<number>();
  result: JobResult | null = null;
  completedAt: number | null = null;

  constructor(job: string, spec: LocalJob, options: ExecutionsOptions) {
    this.job = job;
    this.spec = spec;
    this.name = `${job}-${randomName(5)}`;
    this.ended = this.#run(options);
  }

  async #run(options: ExecutionsOptions): Promise<void> {
    const { spec } = this;
    const metadata = await options.metadata(spec.serviceAccount);
    this.result = await runJob({
      name: this.job,
      execution: this.name,
      tasks: spec.tasks,
      parallelism: spec.parallelism,
      maxRetries: spec.maxRetries,
      containers: spec.containers.map(({ command, args, env }) => ({
        command: [...command, ...args],
        env: { ...env, ...metadata },
      })),
      logFd: options.logFd,
      taskTimeoutMs: spec.taskTimeoutMs,
      ...(options.graceMs !== undefined && { graceMs: options.graceMs }),
      signal: this.cancellation.signal,
      onStart: (task, attempt) => {
        this.running++;
        this.attempts++;
        if (attempt > 0) this.retried.add(task);
      },
      onEnd: (task, attempt, succeeded) => {
        this.running--;
        if (succeeded) this.succeeded++;
        options.onEnd?.(this.name, task, attempt, succeeded);
      },
    });
    this.completedAt = Date.now();
  }

  snapshot(): LocalExecution {
    return {
      name: this.name,
      job: this.job,
      createdAt: this.createdAt,
      env: this.spec.containers[0]!.env,
      containers: this.spec.containers,
      attempts: this.attempts,
      succeeded: this.succeeded,
      failed: [...(this.result?.failed ?? [])],
      cancelled: this.result?.cancelled ?? 0,
      completed: this.result !== null,
    };
  }

  /** @param parent `projects/P/locations/L` */
  json(parent: string): ExecutionJson {
    const { result, completedAt, spec } = this;
    const created = new Date(this.createdAt).toISOString();
    const updated = new Date(completedAt ?? this.createdAt).toISOString();
    return {
      name: `${parent}/jobs/${this.job}/executions/${this.name}`,
      uid: this.uid,
      creator: "caller@local",
      generation: "1",
      createTime: created,
      startTime: created,
      updateTime: updated,
      ...(completedAt !== null && { completionTime: updated }),
      launchStage: "GA",
      job: this.job,
      parallelism: spec.parallelism,
      taskCount: spec.tasks,
      template: templateJson(spec),
      ...(result === null && { reconciling: true }),
      conditions: [{ type: "Completed", ...this.#completed(), lastTransitionTime: updated }],
      observedGeneration: "1",
      ...(this.running > 0 && { runningCount: this.running }),
      ...(this.succeeded > 0 && { succeededCount: this.succeeded }),
      ...(result !== null && result.failed.length > 0 && { failedCount: result.failed.length }),
      ...(result !== null && result.cancelled > 0 && { cancelledCount: result.cancelled }),
      ...(this.retried.size > 0 && { retriedCount: this.retried.size }),
      etag: `"${this.uid}"`,
    };
  }

  #completed(): { state: string; message?: string; executionReason?: string } {
    if (this.result === null) return { state: "CONDITION_RECONCILING" };
    if (this.result.cancelled > 0) {
      return { state: "CONDITION_FAILED", message: "The execution was cancelled.", executionReason: "CANCELLED" };
    }
    if (this.result.failed.length > 0) {
      return {
        state: "CONDITION_FAILED",
        message: `${this.result.failed.length} tasks failed.`,
        executionReason: "NON_ZERO_EXIT_CODE",
      };
    }
    return { state: "CONDITION_SUCCEEDED" };
  }

  operationJson(parent: string): OperationJson {
    const typed = { "@type": "type.googleapis.com/google.cloud.run.v2.Execution" as const, ...this.json(parent) };
    const operation = { name: `${parent}/operations/${this.operation}`, metadata: typed };
    if (this.result === null) return operation;
    if (this.result.failed.length + this.result.cancelled === 0) return { ...operation, done: true, response: typed };
    return { ...operation, done: true, error: { code: 10, message: this.#completed().message ?? "" } };
  }
}

/** Lower-case letters and digits, without those that spell words. */
export function randomName(length: number): string {
  return Array.from({ length }, () => "bcdfghjklmnpqrstvwxz2456789"[randomInt(27)]).join("");
}
