/** A server in a process of its own: started, waited for, logged within a bound, and ended by its id. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

export interface ServerProcess {
  pid: number;
  /** The first match of `ready`. */
  ready: RegExpExecArray;
  /** The last lines of stdout and stderr. */
  logs(): string[];
  /** SIGTERM, then SIGKILL after 10 s. Safe to call twice. @returns the exit code, `null` when killed. */
  stop(): Promise<number | null>;
  /** SIGKILL; resolves when the process is gone. */
  kill9(): Promise<void>;
  /** Resolves when the process has ended, whoever ended it, and all that it wrote is in the logs. */
  ended: Promise<number | NodeJS.Signals>;
}

export interface ServerCommand {
  command: string;
  args: string[];
  /** Whole environment but PATH and HOME, which are inherited. */
  env?: Record<string, string>;
  /** Tried on each line of stdout and stderr until it matches. */
  ready: RegExp;
  /** For messages. */
  name: string;
}

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
const MAX_LOG_LINES = 5_000;

const running = new Set<ChildProcess>();
// A test process that ends early must not leave servers behind.
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

export async function startServerProcess(options: ServerCommand): Promise<ServerProcess> {
  const { PATH = "", HOME = "" } = process.env;
  const child = spawn(options.command, options.args, {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH, HOME, ...options.env },
  });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("close", (code, signal) => resolve(code ?? signal ?? 0));
  });
  const lines: string[] = [];
  const ready = await whenReady(child, options, lines).catch(async (error: unknown) => {
    await end(child, "SIGKILL");
    throw error;
  });
  return {
    pid: child.pid!,
    ready,
    logs: () => [...lines],
    stop: () => end(child, "SIGTERM"),
    kill9: async () => {
      await end(child, "SIGKILL");
    },
    ended,
  };
}

function whenReady(child: ChildProcess, { ready, name }: ServerCommand, lines: string[]): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    const fail = (what: string): void =>
      reject(new Error(`${name} ${what}; it wrote:\n${lines.slice(-20).join("\n")}`));
    const timer = setTimeout(() => fail("was not ready within 30 s"), READY_TIMEOUT_MS);
    child.once("error", (error) => fail(`could not be started: ${error.message}`));
    child.once("close", (code, signal) => fail(`ended with ${code ?? signal} before it was ready`));
    const read = (line: string): void => {
      lines.push(line);
      if (lines.length > MAX_LOG_LINES) lines.shift();
      const match = ready.exec(line);
      if (!match) return;
      clearTimeout(timer);
      resolve(match);
    };
    createInterface({ input: child.stdout! }).on("line", read);
    createInterface({ input: child.stderr! }).on("line", read);
  });
}

async function end(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const gone = once(child, "exit");
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(timer);
  return child.exitCode;
}
