import { randomBytes } from "node:crypto";
import type { Command } from "commander";
import { usd } from "../arguments.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { CommandFailure, UsageFailure } from "../failure.ts";
import { addJsonOption, fieldsText, wantsJson, write, writeJson } from "../output.ts";
import { type Fields, ProxyClient } from "../proxy-client.ts";
import { keyFields } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";

type RunOptions = ConnectionOptions & { json?: boolean; label?: string; cap?: string };

export function addRun(program: Command, around: Surroundings): void {
  const command = program
    .command("run")
    .description("start an execution of a Cloud Run job with a vault key of its own")
    .argument("<job>", "name of the job, which is also its policy's")
    .option("--label <label>", "name of this run; the same label is the same run (default: a new one)")
    .option("--cap <dollars>", "cap of this run, up to the policy's", usd)
    .addHelpText(
      "after",
      `
Example:
  $ keybrake run nightly-billing --label resend-2026-11-22 --cap 50

Repeating the command with its label starts nothing twice, whatever happened to the first try.`,
    );
  addConnectionOptions(addJsonOption(command)).action(async (job: string, options: RunOptions) => {
    if (!/^[a-z][a-z0-9-]{0,62}$/.test(job))
      throw new UsageFailure(
        "`<job>` is no name of a Cloud Run job: give 1 to 63 of a-z 0-9 -, beginning with a letter",
      );
    const label = options.label ?? newLabel(around.now());
    const client = await ProxyClient.open(around, options);
    const launched = await start(client, job, label, options.cap);
    if (wantsJson(around, options)) await writeJson(around, launched);
    else await write(around, fieldsText(shown(launched, around.now())));
    if (launched.state === "skipped")
      throw new CommandFailure(`${job} runs one at a time, and another run of it goes on: nothing was started`);
  });
}

/** `run-20261122-183005-3f9ac2`: our own name, so that a try whose answer was lost can be repeated. */
function newLabel(now: number): string {
  const time = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  return `run-${time}-${randomBytes(3).toString("hex")}`;
}

async function start(client: ProxyClient, job: string, label: string, cap: string | undefined): Promise<Fields> {
  try {
    return await client.post(`/jobs/${job}/executions`, { label, usd_cap: cap });
  } catch (error) {
    if (!(error instanceof CommandFailure) || /^(request_invalid|policy_denied|not_found|label_)/.test(error.message))
      throw error;
    throw new CommandFailure(
      `${error.message.replace(/[.\s]*$/, "")}: to try this very run again, add \`--label ${label}\``,
    );
  }
}

function shown(launched: Fields, now: number): [string, string | number | null | undefined][] {
  const { key, ...run } = launched;
  const balance = typeof key === "object" && key !== null ? keyFields(key as Fields, now) : [];
  const named = new Set(Object.keys(run));
  return [...keyFields(run, now), ...balance.filter(([name]) => !named.has(name))];
}
