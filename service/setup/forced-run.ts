/**
 * Which run the forced requests of a job mean: the same one for ten minutes from the first of them. One record says so, whoever comes
 * when, so that duplicates on both sides of a bucket's end, or on instances whose clocks differ, are one run.
 */
import { pending } from "./find-execution.ts";
import { FORCED_MS } from "./run-id.ts";
import type { RunStore } from "./run-record.ts";

const MAX_TRIES = 10;
/** Long after the record means anything, ms. */
const KEPT_MS = 86_400_000;

/** @param runId what a new run is called. @returns the run that is meant. Throws `launch_pending`. */
export async function forcedRun(
  { store }: Pick<RunStore, "store">,
  name: string,
  runId: string,
  now: number,
): Promise<string> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const there = await store.record("forced", name);
    const { run_id: meant, at } = there?.doc ?? {};
    if (typeof meant === "string" && typeof at === "number" && now - at < FORCED_MS) return meant;
    const doc = { run_id: runId, at: now };
    const version = there?.version ?? null;
    if (await store.putRecord({ kind: "forced", name, doc, version, expiresAt: now + KEPT_MS })) return runId;
  }
  throw pending("other requests are forcing runs of the job");
}
