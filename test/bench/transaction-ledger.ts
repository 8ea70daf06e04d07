/**
 * The baseline on Firestore: the ledger as one would write it first. Each reserve and each finish is a transaction of its own
 * that reads the key and the call, decides with the same pure core, and writes the same documents as the proxy's store does.
 * For the bench only: on one hot key these transactions wait for each other's locks, and collapse.
 */
import { type DocumentReference, FieldValue, Firestore, Timestamp, type Transaction } from "@google-cloud/firestore";
import { PassThroughClient } from "google-auth-library";
import { evaluateBatch, unavailable } from "../../service/ledger/batch.ts";
import { DocCache, kindOf, nameOf } from "../../service/ledger/doc-cache.ts";
import { Draft } from "../../service/ledger/draft.ts";
import type { Decision, Decisions, Intent } from "../../service/ledger/evaluate.ts";
import type { QueueDeps } from "../../service/ledger/key-queue.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import type { Doc, DocId, KeyState } from "../../service/ledger/types.ts";
import type { ApiWrite } from "../../service/stores/firestore-client.ts";
import { planCommit } from "../../service/stores/firestore-commit.ts";
import { docPath, keyPath, RowOrder } from "../../service/stores/firestore-rows.ts";
import { plainDoc } from "../../service/stores/firestore-values.ts";

/** What became of the transactions of one process. */
export interface TransactionCounts {
  reserved: number;
  finished: number;
  /** Transactions that the client library gave up after its own retries. */
  failed: number;
  /** Message of the first that failed. */
  firstFailure: string | null;
}

/** As the store's own: nothing of a bench is kept longer than the bench. */
const RETENTION_MS = 86_400_000;
/** The core's own writes name no version in a transaction: its lock is the precondition. */
const UNUSED_VERSION = "0.000000000";

export class TransactionLedger {
  readonly counts: TransactionCounts = { reserved: 0, finished: 0, failed: 0, firstFailure: null };
  readonly #deps: QueueDeps;
  readonly #firestore: Firestore;
  readonly #order = new RowOrder();

  /** @param emulator `HOST:PORT`. */
  constructor(deps: QueueDeps, place: { project: string; database: string; emulator: string }) {
    this.#deps = deps;
    this.#firestore = new Firestore({
      projectId: place.project,
      databaseId: place.database,
      host: place.emulator,
      ssl: false,
      // An emulator asks for no credentials, and looking for them would ask the metadata server.
      authClient: new PassThroughClient(),
    });
  }

  reserve: Ledger["reserve"] = async (keyId, request) => {
    const { decision, key } = await this.#transact(keyId, { kind: "reserve", request });
    this.counts.reserved += 1;
    if (decision.kind === "repeat") return { kind: "repeat", call: decision.call, key };
    const { call, send } = decision;
    return { kind: "forward", call, send, vendorKey: `${call.id}-${call.generation}`, key };
  };

  finish: Ledger["finish"] = async (keyId, callId, send, outcome) => {
    const { decision } = await this.#transact(keyId, { kind: "finish", callId, send, outcome });
    this.counts.finished += 1;
    return decision;
  };

  close(): Promise<void> {
    return this.#firestore.terminate();
  }

  async #transact<K extends "reserve" | "finish">(
    keyId: string,
    intent: Extract<Intent, { kind: K }>,
  ): Promise<{ decision: Decisions[K]; key: KeyState }> {
    let done: { decision: Decision; key: KeyState } | { error: unknown };
    try {
      done = await this.#firestore.runTransaction((transaction) => this.#run(transaction, keyId, intent));
    } catch (error) {
      this.counts.failed += 1;
      this.counts.firstFailure ??= String(error).slice(0, 200);
      throw unavailable();
    }
    if ("error" in done) throw done.error;
    return done as { decision: Decisions[K]; key: KeyState };
  }

  async #run(transaction: Transaction, keyId: string, intent: Intent) {
    const found = await transaction.get(this.#at(keyPath(keyId)));
    const state = JSON.parse(String(found.get("doc"))) as KeyState;
    const known = new DocCache();
    for (;;) {
      const { clock, random, log } = this.#deps;
      const draft = new Draft(state, known.docs, {
        now: Math.max(state.updatedAt, clock.now()),
        token: random.bytes(12).toString("base64url"),
        randomId: () => random.bytes(16),
      });
      const job = { intent, resolve: () => {}, reject: () => {} };
      const { needs, results } = evaluateBatch([job], draft, log);
      const unread = needs.length > 0 ? needs : namesTaken(draft, known);
      if (unread.length === 0) {
        this.#write(transaction, keyId, draft);
        const [result] = results;
        if (!result) throw new Error("one intent has one result");
        return "error" in result ? { error: result.error } : { decision: result.decision, key: draft.state };
      }
      const docs = await transaction.getAll(...unread.map((id) => this.#at(docPath(id))));
      for (const [index, id] of unread.entries()) {
        const doc = docs[index]?.get("doc") as string | undefined;
        known.set(kindOf(id), nameOf(id), doc === undefined ? null : (JSON.parse(doc) as Doc));
      }
    }
  }

  #write(transaction: Transaction, keyId: string, { state, page, writes }: Draft): void {
    const plan = planCommit(
      keyId,
      { version: UNUSED_VERSION, state, page, writes },
      {
        root: "",
        order: this.#order,
        randomId: () => this.#deps.random.bytes(12).toString("hex"),
        retentionMs: RETENTION_MS,
      },
    );
    for (const write of plan?.writes ?? []) this.#put(transaction, write);
  }

  #put(transaction: Transaction, { update, updateMask, currentDocument, delete: gone }: ApiWrite): void {
    if (gone) {
      transaction.delete(this.#at(gone.slice(1)));
      return;
    }
    const ref = this.#at(update?.name?.slice(1) ?? "");
    const { expireAt, ...fields } = update?.fields ?? {};
    const data: Record<string, unknown> = plainDoc(fields);
    if (expireAt) data.expireAt = Timestamp.fromMillis(Number(expireAt.timestampValue?.seconds) * 1_000);
    if (!updateMask) {
      if (currentDocument?.exists === false) transaction.create(ref, data);
      else transaction.set(ref, data);
      return;
    }
    for (const name of updateMask.fieldPaths ?? []) if (!(name in data)) data[name] = FieldValue.delete();
    transaction.update(ref, data);
  }

  #at(path: string): DocumentReference {
    return this.#firestore.doc(path);
  }
}

/** A transaction reads what it creates, as one that reads before it writes would. */
function namesTaken(draft: Draft, known: DocCache): DocId[] {
  return draft.writes
    .filter(({ op, id }) => op === "create" && !id.startsWith("r:"))
    .map(({ id }) => id)
    .filter((id) => known.docs[kindOf(id)].get(nameOf(id)) === undefined);
}
