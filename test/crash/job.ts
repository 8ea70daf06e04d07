/**
 * A batch job whose tasks die with the proxy and run again: each attempt sends the same payment under another random idempotency
 * key, as an SDK in a new process does. It keeps what it was told, to hold the proxy to it afterwards.
 */
import { randomUUID } from "node:crypto";
import { type CallAnswer, Caller, inParallel } from "../support/caller.ts";
import type { RunningProxy } from "../support/proxy.ts";

export interface Task {
  index: number;
  /** The next attempt. */
  attempt: number;
  /** A token of the vendor's that decides how the payment ends. */
  source: string;
  /** Id of the payment that a client was told of; never changes afterwards. */
  paid: string | null;
  /** How the last attempt ended: our code, the vendor's status, or no answer at all. */
  last:
    | "paid"
    | "lost"
    | "not_run"
    | "declined"
    | "vendor_failed"
    | "cap_exhausted"
    | "in_progress"
    | "outcome_unknown";
}

export interface JobOptions {
  label: string;
  vaultKey: string;
  /** `/stripe/v1/charges` or `/stripe/v1/payment_intents`. */
  target: string;
  amountCents: number;
  sources: readonly string[];
}

export class Job {
  readonly tasks: Task[];
  readonly #options: JobOptions;

  constructor(options: JobOptions) {
    this.#options = options;
    this.tasks = options.sources.map((source, index) => ({ index, attempt: 0, source, paid: null, last: "not_run" }));
  }

  get acknowledged(): Task[] {
    return this.tasks.filter(({ paid }) => paid !== null);
  }

  get lost(): Task[] {
    return this.tasks.filter(({ last }) => last === "lost");
  }

  /**
   * One attempt of each of the tasks. A connection that ends is a lost attempt. Throws on an answer that no client may get, and
   * when a task is told of another payment than before.
   * @param onAnswer called with how many answers there were so far.
   */
  async attempt(
    proxy: RunningProxy,
    tasks: readonly Task[],
    atOnce: number,
    onAnswer: (count: number) => void = () => {},
  ): Promise<void> {
    const caller = new Caller(proxy.url, atOnce);
    let answers = 0;
    await inParallel(tasks.length, atOnce, async (n) => {
      const task = tasks[n]!;
      const answer = await this.#send(caller, task).catch(() => null);
      task.attempt += 1;
      if (!answer) {
        task.last = "lost";
        return;
      }
      this.#take(task, answer);
      answers += 1;
      onAnswer(answers);
    });
    caller.close();
  }

  #send(caller: Caller, { index, attempt, source }: Task): Promise<CallAnswer> {
    const { label, vaultKey, target, amountCents } = this.#options;
    const payment = target.endsWith("/charges") ? { source } : {};
    const form = { amount: amountCents, currency: "usd", ...payment, "metadata[run]": label, "metadata[task]": index };
    return caller.post(target, `${vaultKey}~${index}~${attempt}`, form, {
      "idempotency-key": `stripe-node-retry-${randomUUID()}`,
    });
  }

  #take(task: Task, { status, headers, json, text }: CallAnswer): void {
    const code = headers["x-keybrake-code"];
    const details = (json.details ?? {}) as Record<string, unknown>;
    if (code === "already_settled") {
      // Of a call that was looked up: the object may be a declined one.
      if (task.source === "tok_visa") this.#pay(task, String(details.object_id));
      else task.last = "declined";
    } else if (code === "cap_exhausted" || code === "in_progress" || code === "outcome_unknown") task.last = code;
    else if (code === undefined && status === 200) this.#pay(task, String(json.id));
    else if (code === undefined && status === 402) task.last = "declined";
    else if (code === undefined && (status === 500 || status === 429)) task.last = "vendor_failed";
    else throw new Error(`task ${task.index} got ${status} ${text}`);
  }

  #pay(task: Task, id: string): void {
    if (task.paid !== null && task.paid !== id) throw new Error(`task ${task.index} got ${id} after ${task.paid}`);
    task.paid = id;
    task.last = "paid";
  }
}
