/** What a person sees while the executions run: a line for each event, and the sums now and then. */

import { formatUsd } from "../../service/money.ts";
import { readSums } from "../billing-demo/ledger-books.ts";
import type { DemoOptions } from "../billing-demo/options.ts";
import type { Output } from "../billing-demo/progress.ts";
import type { DemoProxy } from "../billing-demo/proxy.ts";
import type { Night } from "./fire-ticks.ts";

const LIVE_MS = 500;
const PLAIN_MS = 5_000;

export class CloudProgress {
  readonly #output: Output | null;
  readonly #nights: Night[] = [];
  #timer: NodeJS.Timeout | null = null;
  #asking: Promise<void> = Promise.resolve();

  /** @param output `null`: print nothing. */
  constructor(output: Output | null) {
    this.#output = output;
  }

  begin(proxy: DemoProxy, options: DemoOptions, vendorTitle: string): void {
    this.#print(
      `${options.tasks} tasks in each of three executions, ${options.parallelism} at a time, each with a vault key of $${formatUsd(options.capMicros)}\n` +
        `vendor: ${vendorTitle}\nproxy:  ${proxy.url}, its ledger in Firestore's emulator\n\n`,
    );
    if (!this.#output) return;
    this.#timer = setInterval(
      () => {
        this.#asking = this.#asking.then(() => this.#show(proxy));
      },
      this.#output.isTTY ? LIVE_MS : PLAIN_MS,
    );
  }

  launched(night: Night): void {
    this.#nights.push(night);
    this.#print(
      `Scheduler fired ${night.scheduleTime} ${night.deliveries.length} times (${night.deliveries.join(", ")}): ${night.execution}, label ${night.label}` +
        `${night.way === "exec" ? ", tasks through `keybrake exec`" : ""}\n`,
    );
  }

  revoked(execution: string): void {
    this.#print(`${execution} is revoked in the middle\n`);
  }

  /** May be called more than once. */
  async end(): Promise<void> {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = null;
    await this.#asking;
    if (this.#output?.isTTY) this.#output.write("\r\u001b[K");
  }

  #print(text: string): void {
    this.#output?.write(this.#output.isTTY ? `\r\u001b[K${text}` : text);
  }

  async #show(proxy: DemoProxy): Promise<void> {
    // A line of progress that cannot be read is left out: the run itself tells what is wrong.
    const sums = await Promise.all(this.#nights.map(({ keyId }) => readSums(proxy, keyId).catch(() => null)));
    if (!this.#timer || sums.length === 0) return;
    const parts = sums.map((each, index) =>
      each ? `${this.#nights[index]!.execution} $${formatUsd(each.spentMicros)} of $${formatUsd(each.capMicros)}` : "…",
    );
    this.#print(`${parts.join("   ")}${this.#output?.isTTY ? "" : "\n"}`);
  }
}
