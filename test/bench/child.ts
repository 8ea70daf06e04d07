/** Processes of the bench: each tells where it listens, and reports what it used. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Command, Report } from "./report.ts";

const START_MS = 20_000;
const ANSWER_MS = 10_000;
const STOP_MS = 30_000;

export interface ChildOptions {
  env?: Record<string, string>;
  execArgv?: string[];
  /** Where its standard output goes, as a file: reading the proxy's log lines would cost the load generator time. */
  directory: string;
}

export class Child {
  readonly name: string;
  readonly url: URL;
  readonly #process: ChildProcess;

  private constructor(name: string, url: URL, child: ChildProcess) {
    this.name = name;
    this.url = url;
    this.#process = child;
  }

  /** Forks `file` of this folder, and waits for its line with `"message":"listening"`. */
  static async start(file: string, options: ChildOptions): Promise<Child> {
    const output = join(options.directory, `${file}.out`);
    const errors = join(options.directory, `${file}.err`);
    const stdout = openSync(output, "w");
    const stderr = openSync(errors, "w");
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
      env: { PATH: process.env.PATH, ...options.env },
      execArgv: ["--disable-warning=ExperimentalWarning", ...(options.execArgv ?? [])],
      stdio: ["ignore", stdout, stderr, "ipc"],
      cwd: options.directory,
    });
    closeSync(stdout);
    closeSync(stderr);
    for (let waited = 0; waited < START_MS && child.exitCode === null; waited += 50) {
      await delay(50);
      const line = (await readFile(output, "utf8")).split("\n").find((text) => text.includes('"listening"'));
      if (line) return new Child(file, new URL((JSON.parse(line) as { url: string }).url), child);
    }
    child.kill("SIGKILL");
    throw new Error(
      `${file} did not start: ${(await readFile(errors, "utf8")).trim().slice(-2000) || "it said nothing"}`,
    );
  }

  async ask(command: Command): Promise<Report> {
    const answer = once(this.#process, "message", { signal: AbortSignal.timeout(ANSWER_MS) });
    this.#process.send(command);
    const [report] = (await answer) as [Report];
    return report;
  }

  /** SIGTERM; SIGKILL when that does not end it. @returns the exit code, `null` after a signal. */
  async stop(): Promise<number | null> {
    if (this.#process.exitCode !== null) return this.#process.exitCode;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    const [code] = (await ended) as [number | null];
    clearTimeout(timer);
    return code;
  }
}
