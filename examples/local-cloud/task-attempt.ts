/** One attempt of one task: its containers as processes, ended as Cloud Run ends them. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeSync } from "node:fs";
import { constants, setPriority } from "node:os";

export interface ContainerProcess {
  /** Program and arguments. */
  command: readonly string[];
  /** Whole: nothing of this process is inherited. */
  env: Readonly<Record<string, string>>;
}

export interface AttemptOptions {
  /** The first one's end is the task's end: the others are stopped with it. */
  containers: readonly ContainerProcess[];
  /** File descriptor that takes the output (Cloud Logging's part). */
  logFd: number;
  /** Then it is stopped, ms. */
  timeoutMs: number;
  /** From SIGTERM to SIGKILL, ms. */
  graceMs: number;
  /** Stops it. */
  signal: AbortSignal;
}

/** Resolves when every process is gone. @returns whether the first container ended by itself with 0. */
export async function runAttempt(options: AttemptOptions): Promise<boolean> {
  if (options.signal.aborted) return false;
  const processes = options.containers.map((container) => start(container, options.logFd));
  let stopped = false;
  const stopAll = (): void => {
    for (const each of processes) each.stop(options.graceMs);
  };
  const cut = (): void => {
    stopped = true;
    stopAll();
  };
  const timer = setTimeout(cut, options.timeoutMs);
  options.signal.addEventListener("abort", cut);
  const code = await processes[0]!.ended;
  clearTimeout(timer);
  options.signal.removeEventListener("abort", cut);
  stopAll();
  await Promise.all(processes.map(({ ended }) => ended));
  return code === 0 && !stopped;
}

interface Started {
  /** Exit code; `null` when a signal ended it or it could not be started. */
  ended: Promise<number | null>;
  /** Asks it to end; kills it if it has not done so in time. */
  stop(graceMs: number): void;
}

function start({ command, env }: ContainerProcess, logFd: number): Started {
  const [program = "", ...args] = command;
  // A process group of its own: what a container leaves running ends with it.
  const child = spawn(program, args, { stdio: ["ignore", logFd, logFd], detached: true, env: { ...env } });
  yieldTheProcessor(child);
  let over = false;
  let kill: NodeJS.Timeout | undefined;
  const ended = new Promise<number | null>((resolve) => {
    const end = (code: number | null): void => {
      over = true;
      clearTimeout(kill);
      resolve(code);
    };
    child.once("error", (error) => {
      if (child.pid !== undefined) return;
      writeSync(logFd, `${program} could not be started: ${error.message}\n`);
      end(null);
    });
    child.once("exit", (code) => {
      killGroup(child);
      end(code);
    });
  });
  return {
    ended,
    stop: (graceMs) => {
      if (over || kill) return;
      child.kill("SIGTERM");
      kill = setTimeout(() => killGroup(child), graceMs);
    },
  };
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

/** On Cloud Run a task has a processor of its own; here 50 of them must not keep the proxy and the runner from theirs. */
function yieldTheProcessor(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    setPriority(child.pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, or the system has no such thing: the job is right without it, only slower.
  }
}
