/** Names of runs: the same request of Scheduler, however often it comes, names the same run. */
import { hash } from "node:crypto";
import { base32 } from "../ledger/identity.ts";
import type { LaunchRequest } from "./setup.ts";

/** A scheduled time this far ahead is not one that has come: somebody forced the run, ms. */
const AHEAD_MS = 60_000;
/** Forced requests within this time from the first are one run, ms. */
export const FORCED_MS = 600_000;

export interface RunName {
  runId: string;
  /** ISO 8601, UTC, when the header could be read; else as sent. */
  scheduledAt: string | null;
  /** Of a forced run: what all requests that force it share, whenever they come. `runId` is then what a new run is called. */
  forced: string | null;
}

/** @param unique makes the name of a manual run without a label its own. */
export function nameRun(
  request: Pick<LaunchRequest, "job" | "scheduled" | "label">,
  now: number,
  unique: string,
): RunName {
  const { job, scheduled, label } = request;
  if (scheduled === null) {
    return { runId: runIdOf([job, "manual", label ?? unique, label === null]), scheduledAt: null, forced: null };
  }
  const time = Date.parse(scheduled.time ?? "");
  const scheduledAt = Number.isNaN(time) ? scheduled.time : new Date(time).toISOString();
  // A text that is no time names the run as it is: it stays the same over the retries, and no night is lost.
  if (scheduledAt !== null && !(time > now + AHEAD_MS)) {
    return { runId: runIdOf([job, scheduledAt]), scheduledAt, forced: null };
  }
  const forced = [job, scheduledAt, "forced"];
  return { runId: runIdOf([...forced, Math.floor(now / FORCED_MS)]), scheduledAt, forced: runIdOf(forced) };
}

/** 26 characters of base32: 128 bits of SHA-256. */
const runIdOf = (parts: readonly (string | number | boolean | null)[]): string =>
  base32(hash("sha256", JSON.stringify(["keybrake run", ...parts]), "buffer").subarray(0, 16));
