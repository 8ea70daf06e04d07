import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

/** Time as the service sees it. Injected everywhere, so that a simulator can drive the real code. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects when `signal` aborts. */
  delay(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  bytes(length: number): Buffer;
  /** Uniform in [0, 1). */
  float(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  delay: (ms, signal) => delay(ms, undefined, signal ? { signal } : undefined),
};

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  float: () => Math.random(),
};
