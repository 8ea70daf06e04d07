import type { Command } from "commander";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { addJsonOption, fieldsText, wantsJson, write, writeJson } from "../output.ts";
import { ProxyClient } from "../proxy-client.ts";
import { keyFields } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";

export function addReconcile(program: Command, around: Surroundings): void {
  const command = program
    .command("reconcile")
    .description("ask the vendors now about calls that are unknown or whose price is pending; it sends nothing again");
  addConnectionOptions(addJsonOption(command)).action(async (options: ConnectionOptions & { json?: boolean }) => {
    const client = await ProxyClient.open(around, options);
    const answer = await client.post("/reconcile");
    if (wantsJson(around, options)) await writeJson(around, answer);
    else await write(around, fieldsText(keyFields(answer, around.now())));
  });
}
