/** A bash that blocks are pasted into, as a reader would do. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { root } from "./markdown.ts";

/** `null` when bash, curl and openssl are here, else what is not. */
export const shellMissing: string | null =
  ["bash", "curl", "openssl"].find((tool) => spawnSync(tool, ["--version"]).error !== undefined) ?? null;

export interface Shell {
  /** Pastes a text and waits until its last command has ended. @returns what was written meanwhile, and its exit code. */
  paste(text: string): Promise<{ code: number; output: string }>;
  /** Waits for a line, also one that is there already. */
  see(pattern: RegExp): Promise<RegExpExecArray>;
  /** Ends the shell and what runs in its background. */
  close(): Promise<void>;
}

/** The PATH of somebody who has a clone and nothing else of it: no `node_modules/.bin`. */
const strangersPath = (process.env.PATH ?? "")
  .split(delimiter)
  .filter((directory) => !directory.includes("node_modules"))
  .join(delimiter);

const PATIENCE_MS = 60_000;

/** @param terminal each background job is a process group of its own, as in a terminal; else all share the shell's. */
export function openShell(env: Record<string, string>, terminal: boolean): Shell {
  const { HOME = "" } = process.env;
  // Not by stdin: a background job shares that, and Node makes it non-blocking for all who share it.
  const directory = mkdtempSync(join(tmpdir(), "keybrake-shell-"));
  const typed = join(directory, "typed");
  execFileSync("mkfifo", [typed]);
  const child = spawn("bash", [typed], {
    cwd: root,
    env: { PATH: strangersPath, HOME, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const keyboard = createWriteStream(typed);
  let output = "";
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      for (const look of waiting) look();
    });
  }
  const see = (pattern: RegExp): Promise<RegExpExecArray> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(look);
        reject(new Error(`the shell never wrote ${pattern}; it wrote:\n${output}`));
      }, PATIENCE_MS);
      const look = (): void => {
        const match = pattern.exec(output);
        if (!match) return;
        clearTimeout(timer);
        waiting.delete(look);
        resolve(match);
      };
      waiting.add(look);
      look();
    });
  if (terminal) keyboard.write("set -m\n");
  let pasted = 0;
  return {
    see,
    paste: async (text) => {
      const mark = `pasted-${pasted++}-ended`;
      const from = output.length;
      keyboard.write(`${text}\necho ${mark} $?\n`);
      const [, code] = await see(new RegExp(`^${mark} (\\d+)$`, "m"));
      return { code: Number(code), output: output.slice(from) };
    },
    close: async () => {
      const gone = once(child, "exit");
      if (terminal) keyboard.end("kill -9 $(jobs -p | sed 's/^/-/') 2>/dev/null; exit 0\n");
      else process.kill(-child.pid!, "SIGKILL");
      await gone;
      keyboard.destroy();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
