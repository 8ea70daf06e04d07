/** Sends commits, once each, and says what became of them. */
import type { Random } from "../clock.ts";
import type { FirestoreConnection } from "./firestore-client.ts";
import { type Plan, planCommit } from "./firestore-commit.ts";
import { codes, guarded, isDenied, isRefusal, RpcFailure, unavailable } from "./firestore-failure.ts";
import { look } from "./firestore-look.ts";
import { RowOrder } from "./firestore-rows.ts";
import { millisOf, updateTimeOf } from "./firestore-values.ts";
import { checkRecords } from "./records.ts";
import type { Commit, CommitResult } from "./store.ts";

export class FirestoreCommitter {
  readonly #connection: FirestoreConnection;
  readonly #order = new RowOrder();
  readonly #randomId: () => string;
  readonly #retentionMs: number;

  constructor(connection: FirestoreConnection, randomId: () => string, retentionMs: number) {
    this.#connection = connection;
    this.#randomId = randomId;
    this.#retentionMs = retentionMs;
  }

  async commit(keyId: string, commit: Commit): Promise<CommitResult> {
    checkRecords(commit.records ?? []);
    // All of it is encoded before this function waits for anything: what the caller changes afterwards is not in it.
    const plan = this.#plan(keyId, commit, new Set());
    // A version that this store never answered: nothing is there at it.
    if (plan === null) return { kind: "conflict" };
    return this.#send(keyId, { ...commit, state: { ...commit.state } }, plan);
  }

  #plan(keyId: string, commit: Commit, without: ReadonlySet<string>): Plan | null {
    const { root } = this.#connection;
    const context = { root, order: this.#order, randomId: this.#randomId, retentionMs: this.#retentionMs };
    return planCommit(keyId, commit, context, without);
  }

  async #send(keyId: string, commit: Commit, plan: Plan): Promise<CommitResult> {
    try {
      const { versions, time } = await this.#connection.commit(plan.writes);
      const version = versions.at(-1);
      return version ? { kind: "committed", version, time } : { kind: "doubt" };
    } catch (error) {
      if (!(error instanceof RpcFailure)) throw error;
      if (isRefusal(error)) return guarded(() => this.#refused(keyId, commit, plan));
      if (error.code === codes.invalidArgument) {
        throw new Error(`The commit of key ${keyId} breaks a rule of Firestore: ${error.message}`, { cause: error });
      }
      if (error.unsent || isDenied(error)) throw unavailable(error);
      return { kind: "doubt" };
    }
  }

  async #refused(keyId: string, commit: Commit, plan: Plan): Promise<CommitResult> {
    const seen = await look(this.#connection, keyId, commit, plan);
    if (seen.kind === "applied") {
      return { kind: "committed", version: seen.version, time: millisOf(updateTimeOf(seen.version) ?? {}) };
    }
    if (seen.kind !== "without") return seen;
    const again = this.#plan(keyId, commit, new Set(seen.calls));
    return again === null ? { kind: "conflict" } : this.#send(keyId, commit, again);
  }
}

/** Ids that nobody else makes: letters and digits. */
export const randomIds =
  (random: Pick<Random, "bytes">): (() => string) =>
  () =>
    random.bytes(12).toString("hex");
