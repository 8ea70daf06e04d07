/** The commands, and how their failures become exit codes. */
import { Command, CommanderError } from "commander";
import { Refusal } from "../errors.ts";
import service from "../package.json" with { type: "json" };
import { addAudit } from "./commands/audit.ts";
import { addCalls } from "./commands/calls.ts";
import { addExec } from "./commands/exec.ts";
import { addIssuers } from "./commands/issuers.ts";
import { addKeys } from "./commands/keys.ts";
import { addQuote } from "./commands/quote.ts";
import { addReconcile } from "./commands/reconcile.ts";
import { addRun } from "./commands/run.ts";
import { addSecrets } from "./commands/secrets.ts";
import { addServe } from "./commands/serve.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

const overview = `
Examples:
  $ keybrake serve
  $ keybrake keys issue --vendor stripe --usd-cap 500 --allow 'POST /v1/payment_intents' --expires-in 2h --label billing-1
  $ keybrake audit --label billing-1 --format csv > billing-1.csv
  $ keybrake quote --vendor stripe -- POST /v1/payment_intents amount=4000 currency=usd

The proxy is found by KEYBRAKE_URL (default http://127.0.0.1:8080) and KEYBRAKE_ADMIN_KEY
(or KEYBRAKE_TOKEN: an ID token or issuer key), or by --url, --admin-key-file and --token-file.
A table on a terminal, JSON when piped or with --json.
Exit codes: 0 done, 1 refused or failed, 2 wrong usage.`;

function buildProgram(around: Surroundings): Command {
  const program = new Command("keybrake");
  program
    .description("A hard dollar cap, an audit row and a retry shield for every vendor call of an AI-agent batch job.")
    .version(service.version)
    .helpCommand(false)
    .addHelpText("after", overview)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => around.stdout.write(text),
      writeErr: (text) => around.stderr.write(text),
      getOutHelpWidth: () => around.stdout.columns ?? 100,
      // Said once, in `run`, where every failure is said.
      outputError: () => {},
    });
  // Subcommands inherit the settings above at the time they are made.
  addServe(program, around);
  addKeys(program, around);
  addAudit(program, around);
  addCalls(program, around);
  addReconcile(program, around);
  addIssuers(program, around);
  addRun(program, around);
  addExec(program);
  addQuote(program, around);
  addSecrets(program, around);
  return program;
}

/** The subcommand that the arguments name, for a hint such as `keybrake keys issue --help`. */
function named(program: Command, args: readonly string[]): string {
  const names = [program.name()];
  let command = program;
  for (const argument of args) {
    const next = command.commands.find((candidate) => candidate.name() === argument);
    if (!next) break;
    names.push(next.name());
    command = next;
  }
  return names.join(" ");
}

/** One line without control characters: a message may quote what a server sent. */
function sentence(text: string): string {
  const line = text
    .replace(/^error: /, "")
    .replace(/\p{Cc}+/gu, " ")
    .trim();
  return /[.!?)]$/.test(line) ? line : `${line}.`;
}

/** @returns the exit code. Never throws, never prints a stack. */
export async function run(args: readonly string[], around: Surroundings): Promise<number> {
  const program = buildProgram(around);
  const help = `Run \`${named(program, args)} --help\`.`;
  try {
    await program.parseAsync([...args], { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return 0;
      // A command group without its subcommand: commander has printed the group's help.
      if (error.code === "commander.help") return 2;
      around.stderr.write(`keybrake: ${sentence(error.message)} ${help}\n`);
      return 2;
    }
    if (error instanceof UsageFailure) {
      around.stderr.write(`keybrake: ${sentence(error.message)} ${help}\n`);
      return 2;
    }
    const message = error instanceof Error ? error.message : String(error);
    const known = error instanceof CommandFailure || error instanceof Refusal;
    const text = known ? message : `failed: ${message}`;
    around.stderr.write(`keybrake: ${sentence(text)}\n`);
    return 1;
  }
}
