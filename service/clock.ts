import { randomFillSync } from "node:crypto";
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

/** Random bytes are fetched in one go: a call of the system's generator costs more than a nonce's worth of them. */
const pool = Buffer.alloc(8192);
let used = pool.length;

function randomBytes(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (length > pool.length) return randomFillSync(bytes);
  if (used + length > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  pool.copy(bytes, 0, used, used + length);
  // What was given out is not kept.
  pool.fill(0, used, used + length);
  used += length;
  return bytes;
}

export const systemRandom: Random = {
  bytes: randomBytes,
  float: () => Math.random(),
};
