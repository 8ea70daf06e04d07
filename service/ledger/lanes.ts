import { Refusal } from "../errors.ts";

/** Work that may wait in one lane. */
const MAX_WAITING = 1_000;

/** Runs what shares a name one after the other, so that it does not meet itself at the store; another name waits for nothing. */
export class Lanes {
  readonly #lanes = new Map<string, { last: Promise<unknown>; length: number }>();

  /** Throws `overloaded` at once when too much waits, else what the work throws. */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const lane = this.#lanes.get(name) ?? { last: Promise.resolve(), length: 0 };
    if (lane.length >= MAX_WAITING) {
      throw new Refusal("overloaded", `${MAX_WAITING} keys of ${name} are being issued; try again soon`);
    }
    this.#lanes.set(name, lane);
    lane.length += 1;
    const running = lane.last.then(work);
    lane.last = running.catch(() => {});
    try {
      return await running;
    } finally {
      lane.length -= 1;
      if (lane.length === 0) this.#lanes.delete(name);
    }
  }
}
