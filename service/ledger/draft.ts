/**
 * A commit in the making: the key's next state, documents to write, records to chain. Intents are evaluated on it one after the
 * other, so each sees what its neighbours decided; one that fails leaves no trace.
 */
import type { Write } from "../stores/store.ts";
import { post } from "./balance.ts";
import { type ChainEntry, link } from "./chain.ts";
import { type DocCache, KINDS, type Kind, type KnownDocs } from "./doc-cache.ts";
import type { Act, Call, ChainPage, ChainRecord, Doc, DocId, DocTypes, KeyState } from "./types.ts";

/** Documents that the evaluation needs to see before it can decide. */
export class NeedDocs {
  readonly ids: readonly DocId[];
  constructor(ids: readonly DocId[]) {
    this.ids = ids;
  }
}

export interface DraftContext {
  now: number;
  /** Batch token. */
  token: string;
  /** Fresh 16 random bytes. */
  randomId: () => Buffer;
}

interface Change {
  op: "create" | "put" | "delete";
  doc: Doc | null;
}

export interface RecordOf {
  act: Act;
  call?: Call;
  reservedMicros?: number;
  spentMicros?: number;
  capMicros?: number;
  by?: string;
  reason?: string;
}

export class Draft {
  state: KeyState;
  readonly now: number;
  readonly token: string;
  readonly randomId: () => Buffer;
  readonly #known: KnownDocs;
  readonly #changes: { readonly [K in Kind]: Map<string, Change> } = {
    c: new Map(),
    a: new Map(),
    o: new Map(),
    r: new Map(),
    u: new Map(),
  };
  #records: ChainRecord[] = [];
  #undo: { state: KeyState; records: number; changes: [Kind, string, Change | undefined][] } | null = null;
  readonly #first: number;

  constructor(state: KeyState, known: KnownDocs, context: DraftContext) {
    this.state = copy(state);
    this.state.sequence += 1;
    this.state.token = context.token;
    this.state.updatedAt = context.now;
    this.#first = state.chainLength;
    this.#known = known;
    this.now = context.now;
    this.token = context.token;
    this.randomId = context.randomId;
  }

  /** `null`: absent; `undefined`: not known. */
  look<K extends keyof DocTypes>(kind: K, id: string): DocTypes[K] | null | undefined {
    const change = this.#changes[kind].get(id);
    return (change ? change.doc : this.#known[kind].get(id)) as DocTypes[K] | null | undefined;
  }

  /** The document, or `null` when absent. Throws {@link NeedDocs} when it is not known yet. */
  need<K extends keyof DocTypes>(kind: K, id: string): DocTypes[K] | null {
    const doc = this.look(kind, id);
    if (doc === undefined) throw new NeedDocs([`${kind}:${id}`]);
    return doc;
  }

  /** Writes a document. One that is not known is created: if it exists after all, the store says so and the batch is evaluated again. */
  write<K extends keyof DocTypes>(kind: K, id: string, doc: DocTypes[K]): void {
    this.#set(kind, id, { op: this.#known[kind].get(id) ? "put" : "create", doc });
  }

  remove(kind: Kind, id: string): void {
    this.#set(kind, id, { op: "delete", doc: null });
  }

  /** Posts a change of the balance and chains its record. @returns the record's chain number. */
  record(entry: RecordOf): number {
    const change = { reservedMicros: entry.reservedMicros ?? 0, spentMicros: entry.spentMicros ?? 0 };
    post(this.state, change, this.now);
    const full: ChainEntry = {
      n: this.state.chainLength,
      at: this.now,
      act: entry.act,
      callId: entry.call?.id ?? null,
      ...change,
      capMicros: entry.capMicros ?? null,
      by: entry.by ?? null,
      reason: entry.reason ?? null,
    };
    const linked = link(this.state.chainHead, full);
    this.#records.push(linked);
    this.state.chainHead = linked.hash;
    this.state.chainLength += 1;
    return full.n;
  }

  /** Runs one intent; whatever it throws, the draft is as it was before. */
  attempt<T>(intent: () => T): T {
    this.#undo = { state: copy(this.state), records: this.#records.length, changes: [] };
    try {
      return intent();
    } catch (error) {
      const undo = this.#undo;
      this.state = undo.state;
      this.#records.length = undo.records;
      for (const [kind, id, previous] of undo.changes.reverse()) {
        if (previous) this.#changes[kind].set(id, previous);
        else this.#changes[kind].delete(id);
      }
      throw error;
    } finally {
      this.#undo = null;
    }
  }

  get page(): ChainPage | null {
    if (this.#records.length === 0) return null;
    return { keyId: this.state.keyId, first: this.#first, token: this.token, records: this.#records };
  }

  get writes(): Write[] {
    const writes: Write[] = [];
    for (const kind of KINDS) {
      for (const [name, { op, doc }] of this.#changes[kind]) {
        const id: DocId = `${kind}:${name}`;
        writes.push(op === "delete" || doc === null ? { op: "delete", id } : { op, id, doc });
      }
    }
    return writes;
  }

  /** Documents that it writes and that were known before, receipts aside: to be read again when the key has moved. */
  get touched(): DocId[] {
    return KINDS.filter((kind) => kind !== "r").flatMap((kind) =>
      [...this.#changes[kind].keys()]
        .filter((name) => this.#known[kind].has(name))
        .map((name): DocId => `${kind}:${name}`),
    );
  }

  /** Each call that this draft writes, as it was and as it will be. */
  *callChanges(): Generator<{ before: Call | null; after: Call }> {
    for (const [id, { doc }] of this.#changes.c) {
      if (doc) yield { before: this.#known.c.get(id) ?? null, after: doc as Call };
    }
  }

  /** Once the commit is durable this is what is known. Receipts are read when they are asked for. */
  teach(docs: DocCache): void {
    for (const kind of KINDS) {
      if (kind === "r") continue;
      for (const [name, { doc }] of this.#changes[kind]) docs.set(kind, name, doc);
    }
  }

  #set(kind: Kind, id: string, change: Change): void {
    this.#undo?.changes.push([kind, id, this.#changes[kind].get(id)]);
    this.#changes[kind].set(id, change);
  }
}

function copy(state: KeyState): KeyState {
  return { ...state, counts: { ...state.counts }, refusals: { ...state.refusals } };
}
