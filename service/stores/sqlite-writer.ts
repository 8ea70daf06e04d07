/** Applies commits to the database: one transaction for all that came together, each of them whole or not at all. */
import type { DatabaseSync } from "node:sqlite";
import type { DocId } from "../ledger/types.ts";
import type { EncodedCommit, EncodedWrite } from "./sqlite-encode.ts";
import { SQLITE_CONSTRAINT, sqliteCode } from "./sqlite-open.ts";
import { SqliteRecords } from "./sqlite-records.ts";
import { type CommitResult, StoreUnavailable } from "./store.ts";

/** A commit's answer, or the error to throw for it alone (it broke a rule of the tables: our bug). */
export type CommitReply = CommitResult | { kind: "broken"; message: string };

export class SqliteWriter {
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof prepare>;
  readonly #records: SqliteRecords;
  /** Last time written, and last row number given. */
  #time: number;
  #row: number;

  constructor(db: DatabaseSync) {
    this.#db = db;
    this.#sql = prepare(db);
    this.#records = new SqliteRecords(db);
    const meta = db.prepare("SELECT time, row FROM meta").get();
    this.#time = Number(meta?.time);
    this.#row = Number(meta?.row);
  }

  /** Durable when it returns. Throws {@link StoreUnavailable} when the disk refuses: then none of them applied. */
  commit(commits: readonly EncodedCommit[]): CommitReply[] {
    try {
      this.#db.exec("BEGIN IMMEDIATE");
      const replies = commits.map((commit) => (commits.length === 1 ? this.#apply(commit) : this.#applyApart(commit)));
      if (!replies.some((reply) => reply.kind === "committed")) {
        this.#db.exec("ROLLBACK");
        return replies;
      }
      this.#sql.meta.run(this.#time, this.#row);
      this.#db.exec("COMMIT");
      return replies;
    } catch (error) {
      this.#rollback();
      if (isOurBug(error)) return commits.map(() => ({ kind: "broken", message: text(error) }));
      throw new StoreUnavailable(`The store cannot be written (${text(error)}).`, { cause: error });
    }
  }

  /** So that one commit which does not apply takes none of its neighbours with it. */
  #applyApart(commit: EncodedCommit): CommitReply {
    this.#db.exec("SAVEPOINT one");
    let reply: CommitReply;
    try {
      reply = this.#apply(commit);
    } catch (error) {
      if (!isOurBug(error)) throw error;
      reply = { kind: "broken", message: text(error) };
    }
    this.#db.exec(reply.kind === "committed" ? "RELEASE one" : "ROLLBACK TO one; RELEASE one");
    return reply;
  }

  #apply(commit: EncodedCommit): CommitReply {
    const version = this.#moveKey(commit);
    if (version === null) return { kind: "conflict" };
    if (commit.records.some((record) => this.#records.put(record) === null)) return { kind: "conflict" };
    const ids: DocId[] = [];
    for (const write of commit.writes) {
      const taken = this.#write(write);
      if (taken !== null) ids.push(taken);
    }
    if (ids.length > 0) return { kind: "exists", ids };
    if (commit.page) this.#sql.page.run(commit.keyId, ...commit.page);
    this.#time = Math.max(this.#time, commit.now);
    return { kind: "committed", version: String(version), time: this.#time };
  }

  /** @returns the key's new version, or `null` when it is not at the one that was read. */
  #moveKey(commit: EncodedCommit): number | null {
    const { keyId, version, label, execution, owner, state } = commit;
    if (version === null) {
      return this.#sql.makeKey.run(this.#nextRow(), keyId, label, execution, owner, state).changes === 1 ? 1 : null;
    }
    if (Number.isNaN(version)) return null;
    const next = version + 1;
    if (this.#sql.moveKey.run(next, state, keyId, version, label, execution, owner).changes === 1) return next;
    return this.#sql.rewriteKey.run(next, state, label, execution, owner, keyId, version).changes === 1 ? next : null;
  }

  /** @returns the id of a document that was to be created and exists. */
  #write(write: EncodedWrite): DocId | null {
    switch (write[0]) {
      case "call":
        return this.#writeCall(write);
      case "receipt": {
        const [, op, callId, sealed, expiresAt] = write;
        const insert = op === "put" ? this.#sql.putReceipt : this.#sql.makeReceipt;
        if (insert.run(expiresAt, sealed, callId).changes === 1) return null;
        if (!this.#sql.hasCall.get(callId)) throw new Error(`receipt r:${callId} is of no call`);
        return `r:${callId}`;
      }
      case "doc": {
        const [, op, id, json] = write;
        if (op === "put") this.#sql.putDoc.run(id, json);
        else if (this.#sql.makeDoc.run(id, json).changes === 0) return id as DocId;
        return null;
      }
      case "delete":
        this.#delete(write[1]);
        return null;
    }
  }

  #writeCall(write: EncodedWrite & { 0: "call" }): DocId | null {
    const [, op, id, json, keyId, owner, label, execution, vendor, task, state, open, createdAt] = write;
    const rest = [keyId, owner, label, execution, vendor, task, state, open, createdAt, json] as const;
    if (op === "create") return this.#sql.makeCall.run(this.#nextRow(), id, ...rest).changes === 0 ? `c:${id}` : null;
    const moved = this.#sql.moveCall.run(
      state,
      open,
      json,
      id,
      keyId,
      owner,
      label,
      execution,
      vendor,
      task,
      createdAt,
    );
    if (moved.changes === 0) this.#sql.putCall.run(this.#nextRow(), id, ...rest);
    return null;
  }

  #delete(id: DocId): void {
    const receiptToo = id.startsWith("c:") || id.startsWith("r:");
    if (receiptToo) this.#sql.deleteReceipt.run(id.slice(2));
    if (id.startsWith("c:")) this.#sql.deleteCall.run(id.slice(2));
    else if (!receiptToo) this.#sql.deleteDoc.run(id);
  }

  #nextRow(): number {
    this.#row += 1;
    return this.#row;
  }

  #rollback(): void {
    // SQLite has rolled back by itself after some errors (https://www.sqlite.org/lang_transaction.html).
    if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
  }
}

/** A row that the tables do not take, as opposed to a disk that does not. */
function isOurBug(error: unknown): boolean {
  const code = sqliteCode(error);
  return code === null || code === SQLITE_CONSTRAINT;
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** An UPDATE writes every index whose columns it names: the usual ones name none but `open`, and check the others. */
function prepare(db: DatabaseSync) {
  const call = `INSERT INTO calls (seq, id, key_id, owner, label, execution, vendor, task, state, open, created_at, doc)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO`;
  const receipt = `INSERT INTO receipts (seq, expires_at, sealed) SELECT seq, ?, ? FROM calls WHERE id = ?
    ON CONFLICT (seq) DO`;
  return {
    meta: db.prepare("UPDATE meta SET time = ?, row = ?"),
    makeKey:
      db.prepare(`INSERT INTO keys (seq, key_id, version, label, execution, owner, doc) VALUES (?, ?, 1, ?, ?, ?, ?)
      ON CONFLICT (key_id) DO NOTHING`),
    moveKey: db.prepare(`UPDATE keys SET version = ?, doc = ?
      WHERE key_id = ? AND version = ? AND label = ? AND execution IS ? AND owner = ?`),
    rewriteKey: db.prepare(`UPDATE keys SET version = ?, doc = ?, label = ?, execution = ?, owner = ?
      WHERE key_id = ? AND version = ?`),
    page: db.prepare("INSERT INTO pages (key_id, first, last, doc) VALUES (?, ?, ?, ?)"),
    makeCall: db.prepare(`${call} NOTHING`),
    moveCall: db.prepare(`UPDATE calls SET state = ?, open = ?, doc = ? WHERE id = ? AND key_id = ? AND owner = ?
      AND label = ? AND execution IS ? AND vendor = ? AND task IS ? AND created_at = ?`),
    putCall: db.prepare(`${call} UPDATE SET key_id = excluded.key_id, owner = excluded.owner, label = excluded.label,
      execution = excluded.execution, vendor = excluded.vendor, task = excluded.task, state = excluded.state,
      open = excluded.open, created_at = excluded.created_at, doc = excluded.doc`),
    makeDoc: db.prepare("INSERT INTO docs (id, doc) VALUES (?, ?) ON CONFLICT (id) DO NOTHING"),
    putDoc: db.prepare("INSERT INTO docs (id, doc) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc"),
    makeReceipt: db.prepare(`${receipt} NOTHING`),
    putReceipt: db.prepare(`${receipt} UPDATE SET expires_at = excluded.expires_at, sealed = excluded.sealed`),
    hasCall: db.prepare("SELECT 1 FROM calls WHERE id = ?"),
    deleteCall: db.prepare("DELETE FROM calls WHERE id = ?"),
    deleteReceipt: db.prepare("DELETE FROM receipts WHERE seq = (SELECT seq FROM calls WHERE id = ?)"),
    deleteDoc: db.prepare("DELETE FROM docs WHERE id = ?"),
  };
}
