/**
 * Group commit: per key and process at most one commit is in flight, and the next one takes everything that arrived meanwhile,
 * settles and releases first, then reserves in their order. A commit is a compare-and-set on the key's version; whatever the
 * store answers, the batch is evaluated again on what is true then, so nothing is counted twice and nobody fails for a neighbour.
 */
import type { Clock, Random } from "../clock.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Metrics } from "../metrics/metrics.ts";
import { type Commit, type CommitResult, type Store, StoreUnavailable, type Version } from "../stores/store.ts";
import { evaluateBatch, type Job, MAX_WAITING, type Result, unavailable, Waiting } from "./batch.ts";
import { Draft } from "./draft.ts";
import type { Decision, Decisions, Intent } from "./evaluate.ts";
import { aliasRecords } from "./execution-alias.ts";
import { KnownKey } from "./known-key.ts";
import { movesOf } from "./moves.ts";
import { COST_OVER_RESERVATION } from "./outcome.ts";
import type { DocId, KeyState } from "./types.ts";

export interface QueueDeps {
  store: Store;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Absent: nothing is counted. */
  metrics?: Metrics | undefined;
}

/** Documents of each kind that are kept, while commits follow each other and when the key is idle: a proxy holds many idle keys. */
const CACHED_DOCS = 1024;
const IDLE_DOCS = 64;
/** How long one batch is tried against conflicts and lost answers, ms. */
const BATCH_DEADLINE_MS = 10_000;
const MAX_BACKOFF_MS = 64;
/** Heads are logged at most this often per key, ms. */
const HEAD_LOG_MS = 10_000;

export class KeyQueue {
  readonly keyId: string;
  readonly #deps: QueueDeps;
  readonly #known: KnownKey;
  #storeTime = 0;
  readonly #waiting = new Waiting();
  #running: Promise<void> | null = null;
  #headLoggedAt = 0;

  constructor(keyId: string, deps: QueueDeps) {
    this.keyId = keyId;
    this.#deps = deps;
    this.#known = new KnownKey(keyId, deps.store);
  }

  /** The key as this process knows it; `null` before the first read. */
  get state(): KeyState | null {
    return this.#known.state;
  }

  get idle(): boolean {
    return this.#running === null;
  }

  /** Resolves when nothing is queued. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running;
  }

  /** Takes over what a commit elsewhere in this process has just written (issue). */
  adopt(state: KeyState, version: Version): void {
    if (this.idle && this.state === null) this.#known.set(state, version);
  }

  /** Reads the key from the store. @returns `null` when there is none. */
  async read(): Promise<KeyState | null> {
    const before = this.#known.version;
    const snapshot = await this.#deps.store.read(this.keyId, []);
    if (!snapshot) return null;
    // A commit that ended meanwhile knows more than this read.
    if (this.idle && this.#known.version === before) this.#known.set(snapshot.state, snapshot.version);
    return snapshot.state;
  }

  submit<K extends Intent["kind"]>(intent: Extract<Intent, { kind: K }>): Promise<Decisions[K]> {
    if (this.#waiting.full(intent)) {
      return Promise.reject(new Refusal("overloaded", `${MAX_WAITING} calls of this key are waiting for the ledger`));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.add({ intent, resolve: resolve as (decision: Decision) => void, reject });
      this.#running ??= this.#run();
    });
  }

  /**
   * While the store writes one commit, the callers of the one before it are answered: neither waits for the other's work.
   * A batch that finds nobody waiting first lets one turn of the event loop pass: what arrives in it shares the commit.
   */
  async #run(): Promise<void> {
    let landed: readonly Result[] = [];
    await new Promise(setImmediate);
    for (;;) {
      if (this.#waiting.empty) {
        this.#answer(landed);
        landed = [];
        await new Promise(setImmediate);
        if (this.#waiting.empty) break;
      }
      const commit = this.#tried(this.#waiting.take());
      this.#answer(landed);
      landed = await commit;
    }
    this.#known.trim(IDLE_DOCS);
    this.#running = null;
  }

  /** Never rejects. */
  async #tried(batch: Job[]): Promise<readonly Result[]> {
    try {
      return await this.#commit(batch);
    } catch (error) {
      this.#known.forget();
      this.#deps.log.error({ err: error, key_id: this.keyId, calls: batch.length }, "ledger commit failed");
      this.#deps.metrics?.uncommitted(batch.length);
      return batch.map((job) => ({ job, error: unavailable() }));
    }
  }

  /** @param batch grows when another process's commit came first: what has arrived meanwhile shares the next try. */
  async #commit(batch: Job[]): Promise<readonly Result[]> {
    const started = this.#deps.clock.now();
    const lost: { commit: Commit; results: Result[]; count: (() => void) | undefined }[] = [];
    let beaten: DocId[] | null = null;
    for (let tries = 0; ; tries += 1) {
      if (tries > 0 && this.#deps.clock.now() - started > BATCH_DEADLINE_MS)
        throw new StoreUnavailable("no commit in time");
      const state = await this.#known.current(beaten ?? []);
      // A batch of which some may be durable already stays as it is.
      if (beaten !== null && lost.length === 0) this.#waiting.fill(batch);
      const attempt = evaluateBatch(batch, this.#draft(state), this.#deps.log);
      if (attempt.needs.length > 0) {
        await this.#known.load(attempt.needs);
        continue;
      }
      const { draft } = attempt;
      const commit = await this.#commitOf(draft, state);
      const count = this.#counting(draft, batch.length);
      const result = await this.#deps.store.commit(this.keyId, commit);
      if (result.kind === "conflict") beaten = draft.touched;
      if (result.kind !== "committed") this.#deps.metrics?.repeated(result.kind);
      if (await this.#landed(draft, commit, result, tries)) {
        count?.();
        this.#alarm(commit);
        return attempt.results;
      }
      // A commit whose answer was lost may also land after it was looked for: then the next one meets it.
      for (const earlier of lost) {
        if (!(await this.#known.shows(earlier.commit))) continue;
        earlier.count?.();
        return earlier.results;
      }
      if (result.kind === "doubt") lost.push({ commit, results: attempt.results, count });
    }
  }

  async #commitOf(draft: Draft, before: KeyState): Promise<Commit> {
    const { page, state, writes } = draft;
    const bound = state.execution !== before.execution;
    const records = bound ? await aliasRecords(this.#deps, state) : [];
    return { version: this.#known.version, state, page, writes, records };
  }

  /** To be called when the draft is durable. What it moves is looked up now: a lost answer makes the queue forget what was before. */
  #counting(draft: Draft, calls: number): (() => void) | undefined {
    const { clock, metrics } = this.#deps;
    if (!metrics) return undefined;
    const moves = movesOf(draft);
    const sentAt = clock.now();
    return () => metrics.committed({ calls, ms: clock.now() - sentAt, moves });
  }

  #draft(state: KeyState): Draft {
    const { clock, random } = this.#deps;
    return new Draft(state, this.#known.docs, {
      now: Math.max(state.updatedAt, this.#storeTime, clock.now()),
      token: random.bytes(12).toString("base64url"),
      randomId: () => random.bytes(16),
    });
  }

  /** @returns true when the commit is durable, false when the batch must be evaluated again. */
  async #landed(draft: Draft, commit: Commit, result: CommitResult, tries: number): Promise<boolean> {
    switch (result.kind) {
      case "committed":
        this.#storeTime = Math.max(this.#storeTime, result.time);
        this.#remember(draft, result.version);
        return true;
      case "exists":
        await this.#known.load(result.ids);
        return false;
      case "conflict":
        this.#known.forget();
        await this.#deps.clock.delay(Math.ceil(this.#deps.random.float() * Math.min(MAX_BACKOFF_MS, 2 ** (tries + 1))));
        return false;
      case "doubt":
        this.#known.forget();
        return this.#known.shows(commit);
    }
  }

  #answer(results: readonly Result[]): void {
    for (const result of results) {
      if ("error" in result) result.job.reject(result.error);
      else if (this.#late(result)) this.#releaseLate(result.job, result.decision);
      else result.job.resolve(result.decision);
    }
  }

  /** The store's own time says that the key had ended when the reservation was written. */
  #late(result: { job: Job; decision: Decision }): boolean {
    return result.job.intent.kind === "reserve" && this.state !== null && this.#storeTime >= this.state.expiresAt;
  }

  #releaseLate(job: Job, decision: Decision): void {
    const { kind, call } = decision as Decisions["reserve"];
    if (kind === "forward") {
      const outcome = { kind: "release", status: null, code: "key_expired" } as const;
      this.submit({ kind: "finish", callId: call.id, send: call.sends, outcome }).catch(() => {
        // The reservation stays until its lease is over and it is reconciled: it never frees itself.
      });
    }
    job.reject(new Refusal("key_expired", "this vault key ended while the call was being reserved"));
  }

  #remember(draft: Draft, version: Version): void {
    this.#known.landed(draft, version);
    this.#known.trim(CACHED_DOCS);
    const { page, state } = draft;
    if (page && state.updatedAt - this.#headLoggedAt >= HEAD_LOG_MS) this.logHead(state);
  }

  #alarm({ page, state }: Commit): void {
    if (!page?.records.some(({ act, reason }) => act === "pause" && reason === COST_OVER_RESERVATION)) return;
    this.#deps.log.error({ key_id: this.keyId, label: state.label }, "a call cost more than it reserved: key paused");
  }

  /** A chain proves loss and edits only against a head that is kept elsewhere. */
  logHead(state: KeyState): void {
    this.#headLoggedAt = state.updatedAt;
    const { keyId, label, chainHead, chainLength, spentMicros, reservedMicros } = state;
    this.#deps.log.info(
      {
        key_id: keyId,
        label,
        chain_head: chainHead,
        chain_length: chainLength,
        spent_micros: spentMicros,
        reserved_micros: reservedMicros,
      },
      "chain head",
    );
  }
}
