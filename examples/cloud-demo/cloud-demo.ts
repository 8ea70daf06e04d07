/** The demo's part for `--cloud`: loaded only then, for it needs Google's libraries and an emulator. */
import { type DemoOptions, UsageError } from "../billing-demo/options.ts";
import type { Output } from "../billing-demo/progress.ts";
import { emulatorMissing } from "../local-cloud/firestore-emulator.ts";
import { type CloudBillJson, cloudBillJson, cloudBillText } from "./cloud-bill.ts";
import { CloudProgress } from "./cloud-progress.ts";
import { runCloudDemo } from "./run-cloud-demo.ts";

/** Throws {@link UsageError} on a machine without the emulator. */
export async function cloudDemo(
  options: DemoOptions,
  directory: string,
  output: Output | null,
  signal: AbortSignal,
): Promise<{ json: CloudBillJson; text: string }> {
  if (emulatorMissing !== null) throw new UsageError(`\`--cloud\`: ${emulatorMissing}.`);
  const result = await runCloudDemo(options, directory, new CloudProgress(output), signal);
  return { json: cloudBillJson(options, result), text: cloudBillText(options, result) };
}
