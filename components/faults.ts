import * as pulumi from "@pulumi/pulumi";

/** What is wrong with a component's arguments: one sentence for each fault, told together before anything is made. */
export class Faults {
  readonly #sentences: string[] = [];

  /** @param component class. @param name of the Pulumi resource. */
  constructor(
    readonly component: string,
    readonly name: string,
  ) {}

  /** @param value as it was given. @param wrong what is wrong with it, after "is …,". @param valid a value that would do. */
  add(prop: string, value: unknown, wrong: string, valid: string): void {
    this.#sentences.push(this.sentence(prop, value, wrong, valid));
  }

  /** Throws when there are any. */
  stop(): void {
    if (this.#sentences.length > 0) throw new pulumi.RunError(this.#sentences.join("\n"));
  }

  sentence(prop: string, value: unknown, wrong: string, valid: string): string {
    return `${this.component} "${this.name}": \`${prop}\` is ${shown(value)}, ${wrong}; a valid value is ${valid}.`;
  }

  /**
   * Checks a value now if it is known, else when it becomes known; one that is unknown in a preview is not checked at all.
   * @param fault returns what is wrong and a valid value, or nothing.
   * @returns the value, which is rejected when it is wrong.
   */
  check<T>(
    prop: string,
    input: pulumi.Input<T>,
    fault: (value: pulumi.Unwrap<T>) => Fault | null,
  ): pulumi.Output<pulumi.Unwrap<T>> {
    const now = known(input);
    if (now.is) {
      const found = fault(now.value as pulumi.Unwrap<T>);
      if (found) this.add(prop, found.value ?? now.value, found.wrong, found.valid);
      return pulumi.output(input);
    }
    return pulumi.output(input).apply((value) => {
      const found = fault(value);
      if (found) throw new pulumi.RunError(this.sentence(prop, found.value ?? value, found.wrong, found.valid));
      return value;
    });
  }
}

export interface Fault {
  /** The part of the value that is wrong; default: all of it. */
  value?: unknown;
  wrong: string;
  valid: string;
}

/** Whether an input is a plain value, through and through. */
export function known(input: unknown): { is: true; value: unknown } | { is: false } {
  return isPlain(input) ? { is: true, value: input } : { is: false };
}

function isPlain(input: unknown): boolean {
  if (isLater(input)) return false;
  if (Array.isArray(input)) return input.every(isPlain);
  if (typeof input === "object" && input !== null) return Object.values(input).every(isPlain);
  return true;
}

/** Whether an input as a whole is an output, or a promise. */
export const isLater = (input: unknown): boolean => pulumi.Output.isInstance(input) || input instanceof Promise;

const MAX_SHOWN = 80;

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (isLater(value)) return "an output";
  const text = typeof value === "string" ? `"${value}"` : JSON.stringify(value);
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
