/**
 * One run of a job, as the store keeps it: pending → starting → started | failed | skipped. Every change is a compare-and-set, so
 * that of all requests for one run a single one talks to Cloud Run.
 */
import { z } from "zod";
import { MAX_LIFETIME_MS } from "../control/duration.ts";
import type { RecordDoc, Store, StoredRecord, Version } from "../stores/store.ts";

const runSchema = z.object({
  policy: z.string(),
  job: z.string(),
  /** Label of its key. */
  label: z.string(),
  /** Cap that was asked for, micro-USD; `null`: the policy's. */
  cap_micros: z.int().nullable(),
  /** Time that Scheduler named. */
  scheduled_at: z.string().nullable(),
  created_at: z.number(),
  updated_at: z.number(),
  /** `pending`: nothing runs. `starting`: an execution may run. The last three are final. */
  state: z.enum(["pending", "starting", "started", "failed", "skipped"]),
  /** From the first start on; before it there may be a key already. */
  key_id: z.string().nullable(),
  /** Who talks to Cloud Run now; `null` while nobody does. */
  holder: z.string().nullable(),
  /** Until then nobody else may start it, ms: the holder may be at it, or Cloud Run may still be at an unclear request. */
  lease_until: z.number(),
  /** How often `jobs.run` was, or may have been, sent. */
  attempts: z.int(),
  /** How the last attempt ended, in one line. */
  last_result: z.string().nullable(),
  /** Short name of its execution. */
  execution: z.string().nullable(),
});

export type RunDoc = z.output<typeof runSchema>;

export interface Run {
  id: string;
  doc: RunDoc;
  version: Version;
}

export interface RunStore {
  store: Pick<Store, "record" | "putRecord">;
  clock: { now(): number };
  /** How long the store keeps a run after the end of its key, ms. */
  retentionMs: number;
}

export async function readRun({ store }: Pick<RunStore, "store">, id: string): Promise<Run | null> {
  const found = await store.record("run", id);
  return found && parsed(found);
}

function parsed({ name, doc, version }: StoredRecord): Run {
  const result = runSchema.safeParse(doc);
  if (!result.success) throw new Error(`The record of run ${name} cannot be read: ${z.prettifyError(result.error)}`);
  return { id: name, doc: result.data, version };
}

export type NewRun = Pick<RunDoc, "policy" | "job" | "label" | "cap_micros" | "scheduled_at">;

/** @returns the run, and `null` when another request has just made it. */
export async function createRun(deps: RunStore, id: string, asked: NewRun): Promise<Run | null> {
  const now = deps.clock.now();
  const doc: RunDoc = {
    ...asked,
    created_at: now,
    updated_at: now,
    state: "pending",
    key_id: null,
    holder: null,
    lease_until: 0,
    attempts: 0,
    last_result: null,
    execution: null,
  };
  return put(deps, id, doc, null);
}

/** @returns the changed run, or `null` when it is not as it was read any more. */
export function changeRun(deps: RunStore, run: Run, change: Partial<RunDoc>): Promise<Run | null> {
  return put(deps, run.id, { ...run.doc, ...change, updated_at: deps.clock.now() }, run.version);
}

async function put(deps: RunStore, id: string, doc: RunDoc, version: Version | null): Promise<Run | null> {
  const written = await deps.store.putRecord({
    kind: "run",
    name: id,
    doc: doc satisfies RecordDoc,
    version,
    // Never before its key's end: a run that is forgotten while the key lives would be started once more.
    expiresAt: doc.updated_at + MAX_LIFETIME_MS + deps.retentionMs,
  });
  return written === null ? null : { id, doc, version: written };
}
