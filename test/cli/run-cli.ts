/** Starts the real command line: the executable that `npx keybrake` finds, in a process of its own, with a bare environment. */
import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const bin = fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url));

export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  env?: Record<string, string>;
  stdin?: string;
  /** Stops reading after the first bytes and closes the pipe, as `| head` does. */
  closeEarly?: boolean;
}

export async function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [bin, ...args], {
    env: { PATH: process.env.PATH, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {});
  child.stdin.end(options.stdin ?? "");
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  if (options.closeEarly) child.stdout.once("data", () => child.stdout.destroy());
  const [stdout, stderr, code] = await Promise.all([
    options.closeEarly ? "" : text(child.stdout),
    text(child.stderr),
    ended,
  ]);
  return { code, stdout, stderr };
}
