/**
 * The whole service in a process of its own, as `service/main.ts` starts it, with what only a test may ask for: a place at which
 * the process kills itself, a clock that is ahead, other bounds. Argument: {@link ProbedProxy} as JSON.
 */
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { destination } from "pino";
import { startProxy } from "../../service/app.ts";
import { type Clock, systemClock, systemRandom } from "../../service/clock.ts";
import { readConfig } from "../../service/config.ts";
import type { Step } from "../../service/data/data-plane.ts";
import type { Limits } from "../../service/data/limits.ts";
import { createLogger } from "../../service/log.ts";

export interface ProbedProxy {
  /** SIGKILL of itself when the `nth` POST (from 1) comes to this step. */
  killAt?: { step: Step; nth: number };
  /** How far its clock is ahead of the machine's, ms. */
  clockAheadMs?: number;
  limits?: Partial<Limits>;
}

/** For `entry` of the tests' proxy. */
export function probedProxy(options: ProbedProxy): readonly string[] {
  return [fileURLToPath(import.meta.url), JSON.stringify(options)];
}

/** The last line of a process that killed itself. */
export const KILLED_ITSELF = "fail point";

async function run({ killAt, clockAheadMs = 0, limits = {} }: ProbedProxy): Promise<void> {
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + clockAheadMs };
  let seen = 0;
  const proxy = await startProxy({
    config: readConfig(process.env),
    clock,
    random: systemRandom,
    log: createLogger(destination({ fd: 1, sync: true })),
    announceAdminKey: () => {},
    limits,
    probe: (step, exchange) => {
      if (step !== killAt?.step || exchange.request.method !== "POST") return;
      seen += 1;
      if (seen < killAt.nth) return;
      writeSync(2, `${KILLED_ITSELF} ${step}\n`);
      process.kill(process.pid, "SIGKILL");
    },
  });
  process.once("SIGTERM", () => void proxy.close().then(() => process.exit(0)));
  writeSync(1, `${JSON.stringify({ message: "listening", url: proxy.url })}\n`);
}

if (import.meta.main) await run(JSON.parse(process.argv[2] ?? "{}") as ProbedProxy);
