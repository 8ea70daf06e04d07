/** Runs the command line inside the test, with a terminal that only records: the one way to see what a person sees. */
import { Readable, Writable } from "node:stream";
import { run } from "../../service/cli/program.ts";
import type { CliResult } from "./run-cli.ts";

export interface HereOptions {
  env?: Record<string, string>;
  terminal?: boolean;
  now?: number;
}

export async function runHere(args: readonly string[], options: HereOptions = {}): Promise<CliResult> {
  const texts = { stdout: "", stderr: "" };
  const record = (name: "stdout" | "stderr") =>
    new Writable({
      // A small buffer: every page of a long answer has to wait for the reader.
      highWaterMark: 64,
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        texts[name] += chunk;
        setImmediate(done);
      },
    });
  const stdout = Object.assign(record("stdout"), { isTTY: options.terminal ?? false, columns: 120 });
  const stderr = record("stderr");
  const code = await run(args, {
    env: options.env ?? {},
    stdin: Readable.from([]),
    stdout,
    stderr,
    fetch: globalThis.fetch,
    now: () => options.now ?? Date.parse("2026-11-22T12:00:00Z"),
  });
  await Promise.all([stdout, stderr].map((stream) => new Promise<void>((resolve) => stream.end(resolve))));
  return { code, ...texts };
}
