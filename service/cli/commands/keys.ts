import type { Command } from "commander";
import { collect, count, keyId, usd } from "../arguments.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { UsageFailure } from "../failure.ts";
import { addJsonOption, fieldsText, tableText, wantsJson, write, writeJson } from "../output.ts";
import { eachPage } from "../pages.ts";
import { type Fields, ProxyClient } from "../proxy-client.ts";
import { keyFields, keyHead, keyRow } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";
import { addProof } from "./proof.ts";

type CommonOptions = ConnectionOptions & { json?: boolean };

export function addKeys(program: Command, around: Surroundings): void {
  const keys = program.command("keys").description("issue, look up and stop vault keys").helpCommand(false);
  addIssue(keys, around);
  addList(keys, around);
  addShow(keys, around);
  addRevoke(keys, around);
  addPause(keys, around);
  addResume(keys, around);
  addRaise(keys, around);
  addProof(keys, around);
}

/** A command with the options that every command which talks to the proxy has. */
function talking(parent: Command, name: string, description: string): Command {
  return addConnectionOptions(addJsonOption(parent.command(name).description(description)));
}

async function printKey(around: Surroundings, options: CommonOptions, key: Fields): Promise<void> {
  if (wantsJson(around, options)) await writeJson(around, key);
  else await write(around, fieldsText(keyFields(key, around.now())));
}

interface IssueOptions extends CommonOptions {
  vendor?: string[];
  usdCap?: string;
  dailyUsdCap?: string;
  allow?: string[];
  expiresIn: string;
  label: string;
  execution?: string;
  account?: string[];
  perCallUsd?: string;
  callsPerMinute?: number;
  maxCalls?: number;
  concurrency?: number;
  assumeUsd?: string;
}

function issueBody(options: IssueOptions): Fields {
  if (!options.vendor) throw new UsageFailure("`--vendor` is missing: name one, for example `--vendor stripe`");
  if (!options.allow)
    throw new UsageFailure(
      "`--allow` is missing: name each endpoint, for example `--allow 'POST /v1/payment_intents'`",
    );
  if (options.usdCap === undefined && options.dailyUsdCap === undefined)
    throw new UsageFailure("there is no cap: give `--usd-cap` (for the key's life), `--daily-usd-cap`, or both");
  const limits: Fields = {
    per_call_usd: options.perCallUsd,
    calls_per_minute: options.callsPerMinute,
    max_calls: options.maxCalls,
    concurrency: options.concurrency,
    assume_usd: options.assumeUsd,
  };
  const limited = Object.values(limits).some((limit) => limit !== undefined);
  return {
    vendors: options.vendor,
    usd_cap: options.usdCap,
    daily_usd_cap: options.dailyUsdCap,
    allowed_endpoints: options.allow,
    expires_in: options.expiresIn,
    label: options.label,
    execution: options.execution,
    accounts: options.account,
    limits: limited ? limits : undefined,
  };
}

function addIssue(keys: Command, around: Surroundings): void {
  talking(keys, "issue", "issue the key of a label, or get the one it has")
    .option("--vendor <id>", "vendor the key is for; repeat for several", collect)
    .option("--usd-cap <dollars>", "cap for the key's whole life", usd)
    .option("--daily-usd-cap <dollars>", "cap for each UTC day", usd)
    .option("--allow <endpoint>", "endpoint it may call, `METHOD /path` or `*`; repeat for several", collect)
    .requiredOption("--expires-in <lifetime>", "how long it lives, up to 30 days: 90m, 2h, 30d")
    .requiredOption("--label <label>", "name of the run; the same label gets the same key again")
    .option("--execution <name>", "Cloud Run execution that the label belongs to")
    .option("--account <account>", "vendor account that calls may name; repeat for several", collect)
    .option("--per-call-usd <dollars>", "refuse a call that costs more", usd)
    .option("--calls-per-minute <n>", "refuse further calls of a minute", count)
    .option("--max-calls <n>", "refuse further calls of the key's life", count)
    .option("--concurrency <n>", "calls reserved at one time", count)
    .option("--assume-usd <dollars>", "reserve this for a call that cannot be priced, instead of refusing it", usd)
    .addHelpText(
      "after",
      `
Example:
  $ keybrake keys issue --vendor stripe --usd-cap 500 --allow 'POST /v1/payment_intents' --expires-in 2h --label billing-1

The answer holds \`vault_key\`, the secret text for the run: give it to the run and keep it out of logs.`,
    )
    .action(async (options: IssueOptions) => {
      const body = issueBody(options);
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.post("/vault/keys", body));
    });
}

function addList(keys: Command, around: Surroundings): void {
  talking(keys, "list", "keys with their live balances, newest first")
    .option("--label <label>", "only of this label, or of this execution")
    .option("--limit <n>", "at most so many", count, 100)
    .option("--all", "all of them")
    .addHelpText("after", "\nExample:\n  $ keybrake keys list --label billing-1")
    .action(async (options: CommonOptions & { label?: string; limit: number; all?: boolean }) => {
      const client = await ProxyClient.open(around, options);
      const json = wantsJson(around, options);
      const found: Fields[] = [];
      let cursor: string | null = null;
      const limit = options.all ? Number.POSITIVE_INFINITY : options.limit;
      for await (const page of eachPage(client, "/vault/keys", "keys", { label: options.label }, limit)) {
        cursor = page.cursor;
        if (json) found.push(...page.rows);
        else if (page.rows.length > 0)
          await write(
            around,
            tableText(
              keyHead,
              page.rows.map((key) => keyRow(key, around.now())),
              [3, 4, 5, 6],
            ),
          );
      }
      if (json) await writeJson(around, { keys: found, next_cursor: cursor });
      else if (cursor !== null) around.stderr.write("There are more: use --limit or --all.\n");
    });
}

function addShow(keys: Command, around: Surroundings): void {
  talking(keys, "show", "one key with its live balance")
    .argument("<key_id>", "the key's public id", keyId)
    .action(async (id: string, options: CommonOptions) => {
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.get(`/vault/keys/${id}`));
    });
}

function addRevoke(keys: Command, around: Surroundings): void {
  talking(keys, "revoke", "stop a key for good; nothing received after this is forwarded")
    .argument("<key_id>", "the key's public id", keyId)
    .option("--reason <text>", "why; it is recorded")
    .action(async (id: string, options: CommonOptions & { reason?: string }) => {
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.delete(`/vault/keys/${id}`, { reason: options.reason }));
    });
}

function addPause(keys: Command, around: Surroundings): void {
  talking(keys, "pause", "stop a key for now; `resume` lets it go on")
    .argument("<key_id>", "the key's public id", keyId)
    .option("--reason <text>", "why; it is recorded")
    .action(async (id: string, options: CommonOptions & { reason?: string }) => {
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.post(`/vault/keys/${id}/pause`, { reason: options.reason }));
    });
}

function addResume(keys: Command, around: Surroundings): void {
  talking(keys, "resume", "let a paused key go on")
    .argument("<key_id>", "the key's public id", keyId)
    .action(async (id: string, options: CommonOptions) => {
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.post(`/vault/keys/${id}/resume`));
    });
}

function addRaise(keys: Command, around: Surroundings): void {
  talking(keys, "raise", "raise a key's cap")
    .argument("<key_id>", "the key's public id", keyId)
    .requiredOption("--usd-cap <dollars>", "the new total, not what is added; repeating it changes nothing", usd)
    .addHelpText("after", "\nExample:\n  $ keybrake keys raise kkkkkkkkkkkkkkkkkkkkkkkkkk --usd-cap 700")
    .action(async (id: string, options: CommonOptions & { usdCap: string }) => {
      const client = await ProxyClient.open(around, options);
      await printKey(around, options, await client.post(`/vault/keys/${id}/raise`, { usd_cap: options.usdCap }));
    });
}
