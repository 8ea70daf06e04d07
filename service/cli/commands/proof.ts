import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { ChainVerifier } from "../../ledger/chain.ts";
import type { Act, ChainRecord } from "../../ledger/types.ts";
import { formatUsd } from "../../money.ts";
import { keyId } from "../arguments.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { CommandFailure } from "../failure.ts";
import { addJsonOption, fieldsText, wantsJson, write, writeJson } from "../output.ts";
import { type Fields, isFields, ProxyClient } from "../proxy-client.ts";
import type { Surroundings } from "../surroundings.ts";

interface ProofOptions extends ConnectionOptions {
  json?: boolean;
  records?: boolean;
  head?: string;
}

export function addProof(keys: Command, around: Surroundings): void {
  const command = keys
    .command("proof")
    .description("check on this machine that a key's records are whole and add up to its balance")
    .argument("<key_id>", "the key's public id", keyId)
    .option(
      "--head <hash>",
      "a chain head that you kept (from a log, or an earlier proof): it must be in the chain",
      hash,
    )
    .option("--records", "print every record, one JSON object a line, before the result");
  addConnectionOptions(addJsonOption(command)).addHelpText(
    "after",
    `
Exit code 1 when a record is missing or changed, the sums differ, --head is not in the chain, or the records are past the
retention (KEYBRAKE_RETENTION_DAYS after the key's end), so that nothing can be proved.

Example:
  $ keybrake keys proof kkkkkkkkkkkkkkkkkkkkkkkkkk --head 5f1c…`,
  );
  command.action(async (id: string, options: ProofOptions) => {
    const client = await ProxyClient.open(around, options);
    await prove(around, client, id, options);
  });
}

function hash(value: string): string {
  if (!/^[0-9a-f]{64}$/.test(value)) throw new InvalidArgumentError("Give the 64 hex digits of a chain head.");
  return value;
}

/** The proxy's own verdict counts for nothing here: hashes and sums are worked out again from what it sent. */
async function prove(around: Surroundings, client: ProxyClient, id: string, options: ProofOptions): Promise<void> {
  const chain = new ChainVerifier();
  let end: Fields | null = null;
  let headSeen = options.head === undefined;
  for await (const line of client.lines(`/vault/keys/${id}/proof`)) {
    if ("chain_head" in line) {
      end = line;
      break;
    }
    chain.add(recordOf(line));
    if (line.hash === options.head) headSeen = true;
    if (options.records) await write(around, `${JSON.stringify(line)}\n`);
  }
  if (!end) throw new CommandFailure("the proof was cut before its end: try again");
  // Without records nothing is proved, whatever the reason: it changes the sentence, not the exit code.
  const forgotten = end.retention_passed === true && chain.length === 0 && chain.fault === null;
  const fault = forgotten ? null : (chain.fault ?? misfit(chain, end, headSeen));
  const result = {
    key_id: id,
    label: end.label,
    verified: fault === null && !forgotten,
    fault,
    retention_passed: forgotten,
    records: chain.length,
    spent_usd: formatUsd(chain.spentMicros),
    reserved_usd: formatUsd(chain.reservedMicros),
    chain_head: chain.head,
  };
  if (options.records) await write(around, `${JSON.stringify(result)}\n`);
  else if (wantsJson(around, options)) await writeJson(around, result);
  else await write(around, fieldsText(Object.entries(result).map(([name, value]) => [name, String(value ?? "–")])));
  if (forgotten) throw new CommandFailure("the records of this key are past the proxy's retention: nothing is proved");
  if (fault !== null) throw new CommandFailure(`the proof does not hold: ${fault}`);
}

function misfit(chain: ChainVerifier, end: Fields, headSeen: boolean): string | null {
  const balance = isFields(end.balance) ? end.balance : {};
  if (end.chain_head !== chain.head) return "the last record is not the head that the proxy names";
  if (balance.spent_micros !== chain.spentMicros) return "the records do not add up to what the key has spent";
  if (balance.reserved_micros !== chain.reservedMicros) return "the records do not add up to what the key holds";
  if (!headSeen) return "the head you kept is not in the chain: records were removed or changed since";
  return typeof end.fault === "string" ? end.fault : null;
}

const number = (value: unknown): number => (typeof value === "number" ? value : Number.NaN);
const textOrNull = (value: unknown): string | null => (typeof value === "string" ? value : null);

/** A field of a wrong type becomes one that cannot match the hash, so the verifier reports it. */
function recordOf(line: Fields): ChainRecord {
  return {
    n: number(line.n),
    at: number(line.at),
    act: String(line.act) as Act,
    callId: textOrNull(line.call_id),
    reservedMicros: number(line.reserved_micros),
    spentMicros: number(line.spent_micros),
    capMicros: line.cap_micros === null ? null : number(line.cap_micros),
    by: textOrNull(line.by),
    reason: textOrNull(line.reason),
    hash: String(line.hash),
  };
}
