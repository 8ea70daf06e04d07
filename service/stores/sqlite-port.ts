/** The way from the store's facade to the database, when both are in this thread. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { EncodedCommit } from "./sqlite-encode.ts";
import {
  type Answer,
  type Asked,
  type EngineOptions,
  groupLength,
  type Question,
  SqliteEngine,
} from "./sqlite-engine.ts";
import type { CommitReply } from "./sqlite-writer.ts";
import { StoreUnavailable } from "./store.ts";

export interface SqlitePort {
  /** Resolves when the commit is durable. Rejects with `StoreUnavailable` when the disk refused it. */
  commit(commit: EncodedCommit): Promise<CommitReply>;
  ask<Q extends Question>(question: Q, ...asked: Asked<Q>): Promise<Answer<Q>>;
  /** What was asked before is answered first; what is asked after is refused. */
  close(): Promise<void>;
}

interface Waiting {
  commit: EncodedCommit;
  size: number;
  resolve(reply: CommitReply): void;
  reject(error: unknown): void;
}

/** Questions that a listing repeats: between them the event loop gets its turn. */
const steps: ReadonlySet<Question> = new Set<Question>(["scan", "openCalls", "pages", "sweep", "records"]);

export class LocalPort implements SqlitePort {
  readonly #engine: SqliteEngine;
  #waiting: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  constructor(options: EngineOptions) {
    this.#engine = new SqliteEngine(options);
  }

  commit(commit: EncodedCommit): Promise<CommitReply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new StoreUnavailable("The store is closed."));
      this.#waiting.push({ commit, size: commit.size, resolve, reject });
      this.#schedule();
    });
  }

  async ask<Q extends Question>(question: Q, ...asked: Asked<Q>): Promise<Answer<Q>> {
    if (steps.has(question)) await nextTurn();
    if (this.#closed) throw new StoreUnavailable("The store is closed.");
    return this.#engine.ask(question, asked);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    while (this.#waiting.length > 0) this.#flush();
    this.#engine.close();
  }

  /** At the end of this turn of the event loop: commits of other keys that come until then share the transaction. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const group = this.#waiting.splice(0, groupLength(this.#waiting));
    if (group.length === 0) return;
    try {
      const replies = this.#engine.commit(group.map((each) => each.commit));
      for (const [index, each] of group.entries()) each.resolve(replies[index]!);
    } catch (error) {
      for (const each of group) each.reject(error);
    }
  }
}
