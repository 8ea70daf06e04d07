import type { Command } from "commander";
import { callId, price } from "../arguments.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { addJsonOption, fieldsText, tableText, wantsJson, write, writeJson } from "../output.ts";
import { type Fields, isFields, ProxyClient } from "../proxy-client.ts";
import { asText, keyFields, shortTime } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";

type CommonOptions = ConnectionOptions & { json?: boolean };

export function addCalls(program: Command, around: Surroundings): void {
  const calls = program.command("calls").description("one call, and decisions on unknown ones").helpCommand(false);
  const talking = (name: string, description: string): Command =>
    addConnectionOptions(addJsonOption(calls.command(name).description(description))).argument(
      "<call_id>",
      "the call's id, as `keybrake audit` shows it",
      callId,
    );

  talking("show", "one call with its transitions").action(async (id: string, options: CommonOptions) => {
    const client = await ProxyClient.open(around, options);
    await printCall(around, options, await client.get(`/calls/${id}`));
  });

  talking("settle", "decide that an unknown call happened, and what it cost")
    .requiredOption("--cost-usd <dollars>", "what it cost", price)
    .requiredOption("--reason <text>", "how you know; it is recorded")
    .addHelpText(
      "after",
      '\nExample:\n  $ keybrake calls settle CALL_ID --cost-usd 40 --reason "pi_123 in the dashboard"',
    )
    .action(async (id: string, options: CommonOptions & { costUsd: string; reason: string }) => {
      const client = await ProxyClient.open(around, options);
      const body = { cost_usd: options.costUsd, reason: options.reason };
      await printCall(around, options, await client.post(`/calls/${id}/settle`, body));
    });

  talking("release", "decide that an unknown call did not happen")
    .requiredOption("--reason <text>", "how you know; it is recorded")
    .addHelpText(
      "after",
      '\nExample:\n  $ keybrake calls release CALL_ID --reason "not in the vendor\'s list of that hour"',
    )
    .action(async (id: string, options: CommonOptions & { reason: string }) => {
      const client = await ProxyClient.open(around, options);
      await printCall(around, options, await client.post(`/calls/${id}/release`, { reason: options.reason }));
    });
}

async function printCall(around: Surroundings, options: CommonOptions, call: Fields): Promise<void> {
  if (wantsJson(around, options)) return writeJson(around, call);
  const { transitions, ...fields } = call;
  await write(around, fieldsText(keyFields(fields, around.now())));
  if (!Array.isArray(transitions) || transitions.length === 0) return;
  const rows = transitions
    .filter(isFields)
    .map((record) => [
      asText(record.n),
      shortTime(record.at),
      asText(record.act),
      asText(record.reserved_micros),
      asText(record.spent_micros),
      asText(record.by),
      asText(record.reason),
    ]);
  const head = ["N", "TIME (UTC)", "ACT", "RESERVED ±µ$", "SPENT ±µ$", "BY", "REASON"];
  await write(around, `\n${tableText(head, rows, [0, 3, 4])}`);
}
