import { Refusal } from "../errors.ts";

/** Lets a bounded number of long answers (exports, proofs, summaries) run at one time. */
export class Gate {
  readonly #limit: number;
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Throws `overloaded` at once when the bound is reached. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#limit) {
      throw new Refusal(
        "overloaded",
        `${this.#limit} exports run at this moment, the most at one time; try again soon`,
      );
    }
    this.#running += 1;
    try {
      return await work();
    } finally {
      this.#running -= 1;
    }
  }
}
