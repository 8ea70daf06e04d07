import type { Command } from "commander";

const more = `
Before the command:
  --wait <seconds>     how long to try for the key (60)

Environment variables, beside those that Cloud Run sets in a task:
  KEYBRAKE_URL         the proxy; https, or http on loopback
  KEYBRAKE_AUDIENCE    the proxy's own KEYBRAKE_AUDIENCE
  GCE_METADATA_HOST    the metadata server (metadata.google.internal)

Example, as a job's entrypoint:
  $ keybrake exec -- node billing-task.js

In an image without Node: python3 keybrake_exec.py -- COMMAND…
Exit codes: those of the command; 1 when there is no key, 2 wrong usage, 126 and 127 when the command cannot be started.`;

/** For the help only: `bin.js` runs `exec` without loading this, so that it starts quickly. */
export function addExec(program: Command): void {
  program
    .command("exec")
    .argument("<command...>", "program and arguments; no shell is involved")
    .allowUnknownOption()
    .description("in a Cloud Run task: get the execution's vault key, set the SDKs' variables, become the command")
    .addHelpText("after", more)
    .action(async (command: string[]) => {
      const { exec } = await import("../exec/exec.js");
      await exec(["--", ...command]);
    });
}
