/**
 * Cloud Scheduler's HTTP target, at its worst: each scheduled time is delivered twice, at once, and each delivery is tried again
 * until it gets a 2xx (https://cloud.google.com/scheduler/docs/configuring/retry-jobs, read 2026-11).
 * Limit: the pauses are milliseconds where the real ones are seconds to hours, and it ends no delivery at `attemptDeadline`'s default of 3 minutes.
 */
import { setTimeout as delay } from "node:timers/promises";

export interface Tick {
  url: string;
  /** Name of the Scheduler job, as `X-CloudScheduler-JobName` has it. */
  name: string;
  /** RFC 3339. The same in every delivery and every try. `null`: no such header, as a forced run may have none. */
  scheduleTime: string | null;
  /** A new one for each try. */
  idToken(): string;
  /** The first pause, ms; it doubles. Default 200. */
  backoffMs?: number;
  /** Default 2: duplicates are possible, says the documentation. */
  deliveries?: number;
  /** Tries after the first one; default 5. */
  retryCount?: number;
}

const ANSWER_TIMEOUT_MS = 30_000;
const MAX_DOUBLINGS = 5;

/** @returns the last status of each delivery; 0: there was no answer. */
export function tick(options: Tick): Promise<number[]> {
  return Promise.all(Array.from({ length: options.deliveries ?? 2 }, () => deliver(options)));
}

async function deliver(options: Tick): Promise<number> {
  const retries = options.retryCount ?? 5;
  for (let tries = 0; ; tries++) {
    const status = await attempt(options);
    if ((status >= 200 && status < 300) || tries === retries) return status;
    await delay((options.backoffMs ?? 200) * 2 ** Math.min(tries, MAX_DOUBLINGS));
  }
}

async function attempt({ url, name, scheduleTime, idToken }: Tick): Promise<number> {
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        authorization: `Bearer ${idToken()}`,
        "content-type": "application/octet-stream",
        "user-agent": "Google-Cloud-Scheduler",
        "x-cloudscheduler": "true",
        "x-cloudscheduler-jobname": name,
        ...(scheduleTime !== null && { "x-cloudscheduler-scheduletime": scheduleTime }),
      },
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return 0;
  }
}
