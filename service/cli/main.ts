/** The entry of the command line: the only file here that reads `process`. */
import { run } from "./program.ts";

/** Runs one command of `process.argv` and sets the exit code: 0 done, 1 refused or failed, 2 wrong usage. */
export async function runFromShell(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    // `keybrake audit | head`: the reader has seen enough, which is no failure.
    stream.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  }
  process.exitCode = await run(process.argv.slice(2), {
    env: process.env,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    fetch: globalThis.fetch,
    now: Date.now,
  });
}
