/**
 * The database as the store's facade talks to it: synchronous, plain data in and out, so that it runs in this thread
 * ({@link LocalPort}) or in a worker thread ({@link WorkerPort}) unchanged.
 */
import type { DatabaseSync } from "node:sqlite";
import type { EncodedCommit } from "./sqlite-encode.ts";
import { openDatabase } from "./sqlite-open.ts";
import { SqliteReader } from "./sqlite-reader.ts";
import { type CommitReply, SqliteWriter } from "./sqlite-writer.ts";
import { StoreUnavailable } from "./store.ts";

export interface EngineOptions {
  path: string;
  lockWaitMs: number;
}

/** What can be asked, beside a commit. Each answers within a few milliseconds. */
export type Question =
  | "read"
  | "call"
  | "scan"
  | "openCalls"
  | "pages"
  | "page"
  | "sweep"
  | "settingOnce"
  | "setting"
  | "record"
  | "putRecord"
  | "records";
export type Asked<Q extends Question> = Parameters<SqliteReader[Q]>;
export type Answer<Q extends Question> = ReturnType<SqliteReader[Q]>;

/** Commits of one transaction: bounds how long a read waits behind it, and the memory it takes. */
const GROUP_COMMITS = 64;
const GROUP_BYTES = 4 * 1024 * 1024;

export class SqliteEngine {
  readonly #db: DatabaseSync;
  readonly #writer: SqliteWriter;
  readonly #reader: SqliteReader;

  /** Throws {@link StoreUnavailable} with a sentence that names the file and the fix. */
  constructor(options: EngineOptions) {
    this.#db = openDatabase(options.path, options.lockWaitMs);
    this.#writer = new SqliteWriter(this.#db);
    this.#reader = new SqliteReader(this.#db);
  }

  commit(commits: readonly EncodedCommit[]): CommitReply[] {
    return this.#writer.commit(commits);
  }

  ask<Q extends Question>(question: Q, asked: Asked<Q>): Answer<Q> {
    try {
      const method = this.#reader[question] as (...asked: Asked<Q>) => Answer<Q>;
      return method.apply(this.#reader, asked);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new StoreUnavailable(`The store cannot be used (${text}).`, { cause: error });
    }
  }

  /** Copies the WAL into the database and cuts it to nothing. */
  close(): void {
    try {
      this.#db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } finally {
      this.#db.close();
    }
  }
}

/** How many commits from the front of the queue make the next transaction. */
export function groupLength(sizes: readonly { size: number }[]): number {
  let bytes = 0;
  let length = 0;
  for (const { size } of sizes) {
    bytes += size;
    if (length > 0 && (length === GROUP_COMMITS || bytes > GROUP_BYTES)) break;
    length += 1;
  }
  return length;
}
