/** The way to a database that lives in a worker thread: what is asked in one turn travels in one message. */
import { Worker } from "node:worker_threads";
import type { EncodedCommit } from "./sqlite-encode.ts";
import type { Answer, Asked, EngineOptions, Question } from "./sqlite-engine.ts";
import type { SqlitePort } from "./sqlite-port.ts";
import type { Reply, Request } from "./sqlite-thread.ts";
import type { CommitReply } from "./sqlite-writer.ts";
import { StoreUnavailable } from "./store.ts";

interface Waiting {
  commit: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class WorkerPort implements SqlitePort {
  readonly #worker: Worker;
  readonly #onLost: () => void;
  readonly #waiting = new Map<number, Waiting>();
  #outbox: Request[] = [];
  #lastId = 0;
  #gone: StoreUnavailable | null = null;

  /** Resolves when the database is open. Throws what opening it throws. */
  static async open(options: EngineOptions, onLost: () => void): Promise<WorkerPort> {
    const port = new WorkerPort(options, onLost);
    try {
      await port.#answered(0, false);
      return port;
    } catch (error) {
      await port.#worker.terminate();
      throw error;
    }
  }

  private constructor(options: EngineOptions, onLost: () => void) {
    this.#onLost = onLost;
    this.#worker = new Worker(new URL("./sqlite-thread.ts", import.meta.url), { workerData: options });
    this.#worker.on("message", (replies: Reply[]) => this.#settle(replies));
    this.#worker.on("error", (error) => this.#lose(error));
    this.#worker.on("exit", () => this.#lose(null));
  }

  async commit(commit: EncodedCommit): Promise<CommitReply> {
    return (await this.#request(true, (id) => [id, "commit", commit])) as CommitReply;
  }

  async ask<Q extends Question>(question: Q, ...asked: Asked<Q>): Promise<Answer<Q>> {
    return (await this.#request(false, (id) => [id, question, asked])) as Answer<Q>;
  }

  async close(): Promise<void> {
    if (this.#gone) return;
    const closed = this.#request(false, (id) => [id, "close"]);
    this.#gone = new StoreUnavailable("The store is closed.");
    try {
      await closed;
    } finally {
      await this.#worker.terminate();
    }
  }

  #request(commit: boolean, make: (id: number) => Request): Promise<unknown> {
    if (this.#gone) return Promise.reject(this.#gone);
    this.#lastId += 1;
    if (this.#outbox.length === 0) queueMicrotask(() => this.#post());
    this.#outbox.push(make(this.#lastId));
    return this.#answered(this.#lastId, commit);
  }

  #answered(id: number, commit: boolean): Promise<unknown> {
    // An open store alone keeps no process alive; somebody who waits for it does.
    if (this.#waiting.size === 0) this.#worker.ref();
    return new Promise((resolve, reject) => this.#waiting.set(id, { commit, resolve, reject }));
  }

  #post(): void {
    const outbox = this.#outbox;
    this.#outbox = [];
    this.#worker.postMessage(outbox);
  }

  #settle(replies: readonly Reply[]): void {
    for (const [id, kind, ...rest] of replies) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (kind === "ok") waiting?.resolve(rest[0]);
      else waiting?.reject(failure(kind, String(rest[0]), String(rest[1])));
    }
    if (this.#waiting.size === 0) this.#worker.unref();
  }

  /** The thread ended by itself. Nobody knows whether the commits on their way had applied. */
  #lose(error: unknown): void {
    const lost = this.#gone === null;
    this.#gone ??= new StoreUnavailable("The store's thread has ended: restart the proxy.", { cause: error });
    for (const each of this.#waiting.values()) {
      if (each.commit) each.resolve({ kind: "doubt" } satisfies CommitReply);
      else each.reject(this.#gone);
    }
    this.#waiting.clear();
    if (lost) this.#onLost();
  }
}

function failure(kind: "unavailable" | "failed", message: string, cause: string): Error {
  const options = cause ? { cause: new Error(cause) } : {};
  return kind === "unavailable" ? new StoreUnavailable(message, options) : new Error(message, options);
}
