/** The filters that choose calls, shared by the list and its summary. */
import type { Command } from "commander";
import { instant, keyId, taskIndex } from "./arguments.ts";
import { UsageFailure } from "./failure.ts";
import type { Query } from "./proxy-client.ts";
import type { Surroundings } from "./surroundings.ts";

export interface FilterOptions {
  label?: string;
  execution?: string;
  keyId?: string;
  taskIndex?: number;
  vendor?: string;
  state?: string;
  since?: string;
  until?: string;
}

const states = ["reserved", "settled", "released", "unknown", "refused"];

export function addCallFilters(command: Command): Command {
  return command
    .option("--label <label>", "of this label")
    .option("--execution <name>", "of this execution")
    .option("--key-id <key_id>", "of this key", keyId)
    .option("--task-index <n>", "of this task", taskIndex)
    .option("--vendor <id>", "to this vendor")
    .option("--state <state>", states.join(", "))
    .option("--since <time>", "from then on: 2h, 7d, 2026-11-22, 2026-11-22T18:30:00Z (UTC)")
    .option("--until <time>", "before then");
}

export function collectFilters(around: Surroundings, options: FilterOptions): Query {
  if (options.state !== undefined && !states.includes(options.state))
    throw new UsageFailure(`\`--state ${options.state}\` is none of ${states.join(", ")}: choose one of them`);
  const now = around.now();
  return {
    label: options.label,
    execution: options.execution,
    key_id: options.keyId,
    task_index: options.taskIndex,
    vendor: options.vendor,
    state: options.state,
    since: options.since === undefined ? undefined : instant(options.since, now, "--since"),
    until: options.until === undefined ? undefined : instant(options.until, now, "--until"),
  };
}
