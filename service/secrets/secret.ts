import { inspect } from "node:util";

/** A text that must not get into a log, an answer or an error: every way to print it shows its name only. */
export class Secret {
  readonly #name: string;
  readonly #value: string;

  /** @param name What it is the secret of: `stripe`, `admin key`. */
  constructor(name: string, value: string) {
    this.#name = name;
    this.#value = value;
  }

  /** The only way to the text. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return `[secret ${this.#name}]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [inspect.custom](): string {
    return this.toString();
  }

  [Symbol.toPrimitive](): string {
    return this.toString();
  }
}
