/**
 * Cloud Run Jobs in a file: one process per task attempt and container, with the environment that Cloud Run gives it, at most
 * `parallelism` tasks at once; a task that ends with anything but 0 runs again as the next attempt, up to `maxRetries` times.
 */
import { type ContainerProcess, runAttempt } from "./task-attempt.ts";

export interface Job {
  name: string;
  execution: string;
  tasks: number;
  parallelism: number;
  /** Further attempts of a task that failed. Cloud Run's default is 3. */
  maxRetries: number;
  /** Of every task. The first one's end is the task's end. */
  containers: readonly ContainerProcess[];
  /** File descriptor that takes all the tasks' output (Cloud Logging's part). */
  logFd: number;
  /** One attempt's limit, ms; then it is stopped, as by `--task-timeout`. */
  taskTimeoutMs: number;
  /** From SIGTERM to SIGKILL, ms; default {@link GRACE_MS}. */
  graceMs?: number;
  /** Cancels the execution: what runs is stopped, and nothing more starts. */
  signal: AbortSignal;
  onStart?(task: number, attempt: number): void;
  onEnd?(task: number, attempt: number, succeeded: boolean): void;
}

export interface JobResult {
  attempts: number;
  succeeded: number;
  /** Tasks whose every attempt failed. */
  failed: number[];
  /** Tasks that the cancellation ended, or kept from starting. */
  cancelled: number;
}

/** https://cloud.google.com/run/docs/container-contract#jobs-lifecycle (read 2026-11). */
export const GRACE_MS = 10_000;

interface Attempt {
  task: number;
  attempt: number;
}

/** Runs the job to its end: no process of it is left then. */
export async function runJob(job: Job): Promise<JobResult> {
  const result: JobResult = { attempts: 0, succeeded: 0, failed: [], cancelled: 0 };
  const retries: Attempt[] = [];
  let nextTask = 0;

  const take = (): Attempt | undefined =>
    retries.shift() ?? (nextTask < job.tasks ? { task: nextTask++, attempt: 0 } : undefined);

  const lane = async (): Promise<void> => {
    for (let next = take(); next !== undefined && !job.signal.aborted; next = take()) {
      result.attempts++;
      job.onStart?.(next.task, next.attempt);
      const succeeded = await runAttempt({
        containers: job.containers.map((container) => inTask(container, job, next!)),
        logFd: job.logFd,
        timeoutMs: job.taskTimeoutMs,
        graceMs: job.graceMs ?? GRACE_MS,
        signal: job.signal,
      });
      job.onEnd?.(next.task, next.attempt, succeeded);
      if (succeeded) result.succeeded++;
      else if (job.signal.aborted) return;
      else if (next.attempt < job.maxRetries) retries.push({ task: next.task, attempt: next.attempt + 1 });
      else result.failed.push(next.task);
    }
  };

  await Promise.all(Array.from({ length: Math.min(job.parallelism, job.tasks) }, lane));
  result.cancelled = job.tasks - result.succeeded - result.failed.length;
  return result;
}

function inTask({ command, env }: ContainerProcess, job: Job, { task, attempt }: Attempt): ContainerProcess {
  return {
    command,
    env: {
      ...env,
      CLOUD_RUN_JOB: job.name,
      CLOUD_RUN_EXECUTION: job.execution,
      CLOUD_RUN_TASK_INDEX: String(task),
      CLOUD_RUN_TASK_COUNT: String(job.tasks),
      CLOUD_RUN_TASK_ATTEMPT: String(attempt),
    },
  };
}
