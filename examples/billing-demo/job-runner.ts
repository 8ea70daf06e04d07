/**
 * Cloud Run Jobs in a file: one process per task attempt with the environment that Cloud Run gives it, at most
 * `parallelism` at once; a task that ends with anything but 0 runs again as the next attempt, up to `maxRetries` times.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants, setPriority } from "node:os";

export interface Job {
  name: string;
  execution: string;
  tasks: number;
  parallelism: number;
  /** Further attempts of a task that failed. Cloud Run's default is 3. */
  maxRetries: number;
  /** Arguments of Node for one attempt of one task, and variables of that attempt. */
  command(task: number, attempt: number): { args: string[]; env?: Record<string, string> };
  /** Environment of every task, whole: nothing of this process is inherited. */
  env: Record<string, string>;
  /** File descriptor that takes all the tasks' output (Cloud Logging's part). */
  logFd: number;
  /** One attempt's limit, ms; then it is killed, as by `--task-timeout`. */
  taskTimeoutMs: number;
  signal: AbortSignal;
  onEnd?(task: number, attempt: number, succeeded: boolean): void;
}

export interface JobResult {
  attempts: number;
  succeeded: number;
  /** Tasks whose every attempt failed. */
  failed: number[];
}

interface Attempt {
  task: number;
  attempt: number;
}

/** Runs the job to its end. Rejects when `signal` aborts, after its processes are gone. */
export async function runJob(job: Job): Promise<JobResult> {
  const result: JobResult = { attempts: 0, succeeded: 0, failed: [] };
  const retries: Attempt[] = [];
  let nextTask = 0;

  const take = (): Attempt | undefined =>
    retries.shift() ?? (nextTask < job.tasks ? { task: nextTask++, attempt: 0 } : undefined);

  const lane = async (): Promise<void> => {
    for (let next = take(); next !== undefined; next = take()) {
      job.signal.throwIfAborted();
      result.attempts++;
      const succeeded = await runAttempt(job, next);
      job.signal.throwIfAborted();
      job.onEnd?.(next.task, next.attempt, succeeded);
      if (succeeded) result.succeeded++;
      else if (next.attempt < job.maxRetries) retries.push({ task: next.task, attempt: next.attempt + 1 });
      else result.failed.push(next.task);
    }
  };

  const lanes = await Promise.allSettled(Array.from({ length: Math.min(job.parallelism, job.tasks) }, lane));
  const broken = lanes.find((settled) => settled.status === "rejected");
  if (broken) throw broken.reason;
  return result;
}

function runAttempt(job: Job, { task, attempt }: Attempt): Promise<boolean> {
  const { args, env } = job.command(task, attempt);
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ["ignore", job.logFd, job.logFd],
    timeout: job.taskTimeoutMs,
    killSignal: "SIGKILL",
    signal: job.signal,
    env: {
      ...job.env,
      ...env,
      CLOUD_RUN_JOB: job.name,
      CLOUD_RUN_EXECUTION: job.execution,
      CLOUD_RUN_TASK_INDEX: String(task),
      CLOUD_RUN_TASK_COUNT: String(job.tasks),
      CLOUD_RUN_TASK_ATTEMPT: String(attempt),
    },
  });
  yieldTheProcessor(child);
  return new Promise((resolve, reject) => {
    child.once("error", (error) => (job.signal.aborted ? resolve(false) : reject(error)));
    child.once("exit", (code) => resolve(code === 0));
  });
}

/** On Cloud Run a task has a processor of its own; here 50 of them must not keep the proxy and this runner from theirs. */
function yieldTheProcessor(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system has no such thing: the job is right without it, only slower.
  }
}
