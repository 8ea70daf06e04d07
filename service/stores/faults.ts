/**
 * Faults that the in-memory store injects, decided by a seed, so that a failing run can be repeated.
 */
import { setImmediate } from "node:timers/promises";

/** Probabilities are in [0, 1]; each defaults to 0. */
export interface FaultPlan {
  seed: number;
  /** A commit answers `conflict` though nobody wrote; nothing is written. */
  conflict?: number;
  /** A commit's answer is lost; half of them had applied. */
  doubt?: number;
  /** A commit throws `StoreUnavailable`; nothing is written. */
  unavailable?: number;
  /** A read or a listing throws `StoreUnavailable`. */
  readUnavailable?: number;
  /** Up to so many turns pass before and after each operation takes effect, so that others come in between. */
  turns?: number;
}

/** `lost`: it was written, and the answer did not come. */
export type RecordFault = "conflict" | "lost" | "unavailable";
export type CommitFault = "conflict" | "doubt_applied" | "doubt_lost" | "unavailable";

/** Mulberry32: small, and the same on every machine (https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
export function seededFloat(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Faults {
  readonly #plan: FaultPlan;
  readonly #float: () => number;

  constructor(plan: FaultPlan) {
    this.#plan = plan;
    this.#float = seededFloat(plan.seed);
  }

  /** Always draws the same count of numbers, so that one probability does not shift the faults of another. */
  commit(): CommitFault | null {
    const [conflict, doubt, applied, unavailable] = [this.#float(), this.#float(), this.#float(), this.#float()];
    if (unavailable < (this.#plan.unavailable ?? 0)) return "unavailable";
    if (conflict < (this.#plan.conflict ?? 0)) return "conflict";
    if (doubt < (this.#plan.doubt ?? 0)) return applied < 0.5 ? "doubt_applied" : "doubt_lost";
    return null;
  }

  /** Of a record written on its own: a doubtful answer is `StoreUnavailable`, whether it was written or not. */
  record(): RecordFault | null {
    const fault = this.commit();
    if (fault === "doubt_applied") return "lost";
    return fault === "doubt_lost" ? "unavailable" : fault;
  }

  read(): "unavailable" | null {
    return this.#float() < (this.#plan.readUnavailable ?? 0) ? "unavailable" : null;
  }

  /** A turn is a microtask, or one time in four a turn of the event loop. */
  async pause(): Promise<void> {
    const turns = Math.floor(this.#float() * ((this.#plan.turns ?? 0) + 1));
    for (let turn = 0; turn < turns; turn += 1) {
      if (this.#float() < 0.25) await setImmediate();
      else await Promise.resolve();
    }
  }
}
