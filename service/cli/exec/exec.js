// @ts-check
/**
 * `keybrake exec -- COMMAND…`: claims the key of the Cloud Run execution that this task is of, sets the variables that the vendors' SDKs
 * read, and becomes the command.
 *
 * Plain JavaScript that loads nothing but Node: it runs before every task of every job, and the stripping of types alone would take
 * longer than the claim. It runs on Node 18, since it stands in the job's own image.
 */
import { claimVariables } from "./claim.js";
import { become, findProgram } from "./command.js";
import { environmentOf } from "./environment.js";
import { ExecFailure } from "./failure.js";
import { readArguments, readTask } from "./settings.js";

/**
 * Does not return when it succeeds; else says why in one sentence and sets the exit code.
 * @param {readonly string[]} args
 */
export async function exec(args) {
  // As the first process of a container it would not hear the signal.
  process.on("SIGTERM", () => process.exit(143));
  try {
    const { command, waitMs } = readArguments(args);
    const task = readTask(process.env);
    const program = findProgram(command[0] ?? "", process.env.PATH);
    const variables = await claimVariables(task, waitMs);
    become(program, command, environmentOf(process.env, task, variables));
  } catch (error) {
    const known = error instanceof ExecFailure;
    const message = known ? error.message : `failed: ${error instanceof Error ? error.message : String(error)}`;
    process.stderr.write(`keybrake exec: ${message}\n`);
    process.exitCode = known ? error.exitCode : 1;
  }
}
