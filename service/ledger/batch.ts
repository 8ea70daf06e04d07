/** What waits for a key's next commit, and its evaluation: each intent on what its neighbours before it decided. */
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import { recordRefusal } from "./acts.ts";
import { type Draft, NeedDocs } from "./draft.ts";
import { type Decision, evaluate, type Intent } from "./evaluate.ts";
import { callIdOf } from "./identity.ts";
import type { DocId } from "./types.ts";

/** Calls and bytes of one commit (Firestore takes 10 MiB and 500 writes; a call is up to four of them). */
const MAX_BATCH = 200;
const MAX_BATCH_BYTES = 4 << 20;
const ROUGH_INTENT_BYTES = 4096;
/** A call that does not settle may keep its sealed facts for a look-up (`data/receipt.ts` bounds them), and is written with them. */
const KEPT_LOOKUP_BYTES = 88 * 1024;
/** Reserves that may wait; beyond it the answer is 503. Settles are never shed. */
export const MAX_WAITING = 10_000;

export interface Job {
  intent: Intent;
  resolve: (decision: Decision) => void;
  reject: (error: unknown) => void;
}

export type Result = { job: Job; decision: Decision } | { job: Job; error: unknown };

export interface Attempt {
  draft: Draft;
  results: Result[];
  /** Documents to read before the batch can be decided. */
  needs: DocId[];
}

/** Outcomes and operators' acts go first; reserves and refusals follow in the order in which they came. */
export class Waiting {
  #first: Job[] = [];
  #last: Job[] = [];

  get empty(): boolean {
    return this.#first.length + this.#last.length === 0;
  }

  full(intent: Intent): boolean {
    return isLast(intent) && this.#last.length >= MAX_WAITING;
  }

  add(job: Job): void {
    (isLast(job.intent) ? this.#last : this.#first).push(job);
  }

  /** As many as one commit holds. */
  take(): Job[] {
    return this.fill([]);
  }

  /** Adds to a batch what one commit has room for, in the batch's own order: outcomes and acts first. @returns the batch. */
  fill(batch: Job[]): Job[] {
    const before = batch.length;
    let bytes = batch.reduce((sum, { intent }) => sum + roughBytes(intent), 0);
    for (const queue of [this.#first, this.#last]) {
      let taken = 0;
      while (taken < queue.length && batch.length < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
        const job = queue[taken]!;
        bytes += roughBytes(job.intent);
        batch.push(job);
        taken += 1;
      }
      queue.splice(0, taken);
    }
    if (before > 0) batch.sort((one, other) => Number(isLast(one.intent)) - Number(isLast(other.intent)));
    return batch;
  }
}

const isLast = ({ kind }: Intent): boolean => kind === "reserve" || kind === "refused";

function roughBytes(intent: Intent): number {
  return ROUGH_INTENT_BYTES + sealedBytes(intent);
}

function sealedBytes(intent: Intent): number {
  switch (intent.kind) {
    case "reserve":
      return intent.request.lookup?.length ?? 0;
    case "finish":
      return intent.outcome.kind === "settle" ? (intent.outcome.receipt?.length ?? 0) : KEPT_LOOKUP_BYTES;
    case "lose":
      return KEPT_LOOKUP_BYTES;
    default:
      return 0;
  }
}

/** Never throws: what one intent cannot do is its own result. */
export function evaluateBatch(batch: readonly Job[], draft: Draft, log: Logger): Attempt {
  const results: Result[] = [];
  const needs: DocId[] = [];
  for (const job of batch) {
    try {
      results.push({ job, decision: evaluate(draft, job.intent) });
    } catch (error) {
      if (error instanceof NeedDocs) needs.push(...error.ids);
      else results.push({ job, error: refusal(draft, job.intent, error, log) });
    }
  }
  return { draft, results, needs };
}

function refusal(draft: Draft, intent: Intent, error: unknown, log: Logger): unknown {
  if (!(error instanceof Refusal)) {
    log.error({ err: error, key_id: draft.state.keyId, intent: intent.kind }, "ledger could not evaluate");
    return unavailable();
  }
  if (intent.kind === "reserve") {
    const { vendor, endpoint, method, path, task, attempt } = intent.request;
    const refused = { code: error.code, vendor, endpoint, method, path, task, attempt };
    const callId = callIdOf(draft.randomId());
    draft.attempt(() => recordRefusal(draft, callId, refused));
    error.callId ??= callId;
    error.recorded = true;
  }
  return error;
}

export function unavailable(): Refusal {
  return new Refusal("ledger_unavailable", "the ledger cannot be written now, so nothing was sent; try again");
}
