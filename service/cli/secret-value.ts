/** A secret's value from a prompt that shows nothing, or from stdin. Never from an argument. */
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { faultOf, withoutLineEnd } from "../secrets/secret-text.ts";
import { CommandFailure, UsageFailure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

/** Far more than a secret may have: what is longer is another file than was meant. */
const MAX_STDIN_BYTES = 1 << 16;

/** Throws `UsageFailure` for what cannot be a secret, without telling it. */
export async function readSecretValue(around: Surroundings, name: string): Promise<string> {
  const terminal = "isTTY" in around.stdin && around.stdin.isTTY === true;
  const text = terminal ? await prompt(around, `Value of ${name} (not shown): `) : await readAll(around);
  const value = withoutLineEnd(text);
  const from = terminal ? "was typed" : "came from stdin";
  if (value === "") throw new UsageFailure(`no value ${from}: give the secret on stdin or at the prompt`);
  const fault = faultOf(value);
  if (fault) throw new UsageFailure(`the value that ${from} ${fault}: give the secret alone, as one line`);
  return value;
}

/** The terminal is in raw mode while readline has it, and what readline would echo goes nowhere. */
function prompt(around: Surroundings, question: string): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: around.stdin, output: nowhere, terminal: true, historySize: 0 });
  around.stderr.write(question);
  return new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    lines.once("SIGINT", () => reject(new CommandFailure("stopped; nothing was changed")));
    lines.once("close", () => reject(new CommandFailure("the prompt was closed; nothing was changed")));
  }).finally(() => {
    lines.close();
    around.stderr.write("\n");
  });
}

async function readAll(around: Surroundings): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of around.stdin) {
    const bytes = Buffer.from(part as Buffer | string);
    length += bytes.length;
    if (length > MAX_STDIN_BYTES) throw new UsageFailure("stdin holds more than a secret: give the value alone");
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString("utf8");
}
