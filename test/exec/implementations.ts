/** The implementations of `exec`, as an image starts them, and one run of one of them. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { pythonMissing } from "../support/runtimes.ts";

const place = (path: string): string => fileURLToPath(new URL(`../../service/${path}`, import.meta.url));

export interface Implementation {
  name: string;
  /** Program and first arguments. */
  start: readonly [string, ...string[]];
  /** Variables that only this one needs; the command sees them too. */
  env: Readonly<Record<string, string>>;
  /** The command takes the process's place, under its id. */
  becomes: boolean;
  /** It differs from the one before only in how the command is started. */
  variant: boolean;
  /** Why it is left out here; `null`: it is not. */
  missing: string | null;
}

/** The interpreter itself: a version switcher in front of it would set variables of its own. */
const python =
  pythonMissing === null
    ? execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim()
    : "python3";

const viaNode = [process.execPath, place("cli/bin.js"), "exec"] as const;

export const implementations: readonly Implementation[] = [
  { name: "keybrake exec", start: [...viaNode], env: {}, becomes: true, variant: false, missing: null },
  {
    name: "keybrake exec where Node cannot replace its process",
    start: [...viaNode],
    env: { NODE_OPTIONS: "--import=data:text/javascript,delete%20process.execve" },
    becomes: false,
    variant: true,
    missing: null,
  },
  {
    name: "keybrake_exec.py",
    start: [python, place("exec/keybrake_exec.py")],
    env: {},
    becomes: true,
    variant: false,
    missing: pythonMissing,
  },
];

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface Started {
  child: ChildProcessWithoutNullStreams;
  ended: Promise<Ended>;
}

export function startExec(
  { start: [program, ...first], env: own }: Implementation,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Started {
  const child = spawn(program, [...first, ...args], { env: { ...env, ...own } });
  child.stdin.end();
  const closed = new Promise<Pick<Ended, "code" | "signal">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const ended = Promise.all([text(child.stdout), text(child.stderr), closed]).then(([stdout, stderr, end]) => ({
    stdout,
    stderr,
    ...end,
  }));
  return { child, ended };
}

export const runExec = (
  implementation: Implementation,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ended> => startExec(implementation, args, env).ended;
