import { type Command, InvalidArgumentError } from "commander";
import { count } from "../arguments.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { UsageFailure } from "../failure.ts";
import { addJsonOption, type Cell, fieldsText, tableText, wantsJson, write, writeJson } from "../output.ts";
import { eachPage } from "../pages.ts";
import { type Fields, ProxyClient } from "../proxy-client.ts";
import { asText, keyFields, shortTime } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";

type CommonOptions = ConnectionOptions & { json?: boolean };

export function addIssuers(program: Command, around: Surroundings): void {
  const issuers = program
    .command("issuers")
    .description("issuer keys, for callers outside Google Cloud")
    .helpCommand(false);
  const talking = (name: string, description: string): Command =>
    addConnectionOptions(addJsonOption(issuers.command(name).description(description)));

  talking("create", "make an issuer key, bound to a policy; its text is shown this once")
    .requiredOption("--policy <id>", "policy that its holder acts under; it lists `issuer_may`")
    .option("--label <text>", "what you call it")
    .addHelpText(
      "after",
      `
Example:
  $ keybrake issuers create --policy nightly --label trigger-dev

The answer holds \`issuer_key\`, the secret text. Who has it sets KEYBRAKE_TOKEN to it, or sends it as \`Authorization: Bearer\`.`,
    )
    .action(async (options: CommonOptions & { policy: string; label?: string }) => {
      const client = await ProxyClient.open(around, options);
      await print(around, options, await client.post("/issuers", { policy: options.policy, label: options.label }));
    });

  talking("list", "issuers, revoked ones too")
    .option("--limit <n>", "at most so many", count, 100)
    .action((options: CommonOptions & { limit: number }) => list(around, options));

  talking("revoke", "refuse an issuer key for good; vault keys that it issued go on")
    .argument("<issuer_id>", "the issuer's public id", issuerId)
    .action(async (id: string, options: CommonOptions) => {
      const client = await ProxyClient.open(around, options);
      await print(around, options, await client.delete(`/issuers/${id}`));
    });
}

async function print(around: Surroundings, options: CommonOptions, issuer: Fields): Promise<void> {
  if (wantsJson(around, options)) await writeJson(around, issuer);
  else await write(around, fieldsText(keyFields(issuer, around.now())));
}

async function list(around: Surroundings, options: CommonOptions & { limit: number }): Promise<void> {
  const client = await ProxyClient.open(around, options);
  const found: Fields[] = [];
  let cursor: string | null = null;
  for await (const page of eachPage(client, "/issuers", "issuers", {}, options.limit)) {
    found.push(...page.rows);
    cursor = page.cursor;
  }
  if (wantsJson(around, options)) return writeJson(around, { issuers: found, next_cursor: cursor });
  await write(
    around,
    tableText(["ISSUER_ID", "POLICY", "LABEL", "STATUS", "MADE (UTC)", "REVOKED (UTC)"], found.map(row)),
  );
  if (cursor !== null) around.stderr.write("There are more: use --limit.\n");
}

function row(issuer: Fields): Cell[] {
  const { issuer_id: id, policy, label, status, created_at: made, revoked_at: revoked } = issuer;
  return [asText(id), asText(policy), asText(label), asText(status), shortTime(made), shortTime(revoked)];
}

function issuerId(value: string): string {
  // Not an InvalidArgumentError: commander would repeat the value, and this one is secret.
  if (value.startsWith("kbi_"))
    throw new UsageFailure(
      "that is an issuer key's text, which is secret: give its issuer_id, the part after `kbi_1_`",
    );
  if (!/^[a-z2-7]{26}$/.test(value))
    throw new InvalidArgumentError("Give an issuer_id of 26 letters and digits, as `keybrake issuers list` shows it.");
  return value;
}
