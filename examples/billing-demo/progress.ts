/** What a person sees while the job runs: one live line on a terminal, a plain line now and then elsewhere. */
import { formatUsd } from "../../service/money.ts";
import { type KeySums, readSums } from "./ledger-books.ts";
import type { DemoOptions } from "./options.ts";
import type { DemoProxy } from "./proxy.ts";

export interface Output {
  isTTY?: boolean;
  write(text: string): unknown;
}

const LIVE_MS = 250;
const PLAIN_MS = 5_000;
const BAR_WIDTH = 24;

export class Progress {
  readonly #output: Output | null;
  #timer: NodeJS.Timeout | null = null;
  #asking: Promise<void> = Promise.resolve();
  #tasks = 0;
  #done = 0;
  #died = 0;

  /** @param output `null`: print nothing. */
  constructor(output: Output | null) {
    this.#output = output;
  }

  begin(proxy: DemoProxy, keyId: string, options: DemoOptions, vendorTitle: string): void {
    this.#tasks = options.tasks;
    if (!this.#output) return;
    this.#output.write(
      `${options.tasks} tasks, ${options.parallelism} at a time, one vault key with a cap of $${formatUsd(options.capMicros)}\n` +
        `vendor: ${vendorTitle}\nproxy:  ${proxy.url}\n\n`,
    );
    this.#timer = setInterval(
      () => {
        this.#asking = this.#asking.then(() => this.#show(proxy, keyId));
      },
      this.#output.isTTY ? LIVE_MS : PLAIN_MS,
    );
  }

  attemptEnded(succeeded: boolean): void {
    if (succeeded) this.#done++;
    else this.#died++;
  }

  /** May be called more than once. */
  async end(): Promise<void> {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
    await this.#asking;
    if (this.#output?.isTTY) this.#output.write("\r\u001b[K");
  }

  async #show(proxy: DemoProxy, keyId: string): Promise<void> {
    // A line of progress that cannot be read is left out: the run itself tells what is wrong.
    const sums = await readSums(proxy, keyId).catch(() => null);
    if (!sums || !this.#timer) return;
    this.#output?.write(this.#output.isTTY ? `\r\u001b[K${this.#bar()} ${this.#line(sums)}` : `${this.#line(sums)}\n`);
  }

  #bar(): string {
    const filled = Math.floor((this.#done / Math.max(1, this.#tasks)) * BAR_WIDTH);
    return `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}]`;
  }

  #line(sums: KeySums): string {
    const refused = sums.refusals.cap_exhausted ?? 0;
    return (
      `${this.#done}/${this.#tasks} tasks, ${this.#died} died and run again, ` +
      `spent $${formatUsd(sums.spentMicros)} of $${formatUsd(sums.capMicros)}, ` +
      `reserved $${formatUsd(sums.reservedMicros)}, refused ${refused}`
    );
  }
}
