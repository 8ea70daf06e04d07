/**
 * `npm run demo`: a billing job of 500 real processes spends through the proxy, under one hard cap.
 * Exit code: 0 right to the cent, 1 not, 2 wrong usage, 130 interrupted. Leaves nothing behind.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { billJson, billText } from "./bill.ts";
import { type DemoOptions, parseOptions, UsageError, usage } from "./options.ts";
import { Progress } from "./progress.ts";
import { runDemo } from "./run-demo.ts";

process.exitCode = await main();

async function main(): Promise<number> {
  let options: DemoOptions | null;
  try {
    options = parseOptions(process.argv.slice(2), process.env);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`demo: ${error.message}`);
    return 2;
  }
  if (options === null) {
    console.log(usage);
    return 0;
  }

  const interrupt = new AbortController();
  // A second Ctrl-C, or a reader that is gone (`| head`), must not end it before its processes have ended.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupt.abort());
  process.stdout.on("error", () => interrupt.abort());
  const directory = mkdtempSync(join(tmpdir(), "keybrake-demo-"));
  const output = options.json ? null : process.stdout;
  try {
    if (options.cloud) {
      const { cloudDemo } = await import("../cloud-demo/cloud-demo.ts");
      return print(options, await cloudDemo(options, directory, output, interrupt.signal));
    }
    const result = await runDemo(options, directory, new Progress(output), interrupt.signal);
    return print(options, { json: billJson(options, result), text: billText(options, result) });
  } catch (error) {
    if (interrupt.signal.aborted) {
      console.error("demo: interrupted; its processes are gone");
      return 130;
    }
    console.error(`demo: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof UsageError ? 2 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function print(options: DemoOptions, { json, text }: { json: { ok: boolean }; text: string }): number {
  if (options.json) console.log(JSON.stringify(json));
  else console.log(text);
  if (options.json && !json.ok) console.error(text);
  return json.ok ? 0 : 1;
}
