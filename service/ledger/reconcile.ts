/**
 * Learns how UNKNOWN calls ended, by looking only: sending an idempotency key again could execute a call that the vendor never
 * saw. What is found settles at once; what is absent is released only when no send of ours can still be on its way.
 */
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Store } from "../stores/store.ts";
import type { LookupFacts, Vendor, VendorAnswer, Verdict } from "../vendors/vendor.ts";
import type { Ledger, Outcome } from "./ledger.ts";
import type { Call } from "./types.ts";

export interface ReconcileReport {
  /** Open calls that were looked at. */
  looked: number;
  settled: number;
  released: number;
  /** Left unknown: no evidence yet, no way to look, or the look-up failed. */
  unknown: number;
  /** Settled calls whose true price was learnt. */
  repriced: number;
}

export interface ReconcileDeps {
  store: Store;
  ledger: Ledger;
  vendors: ReadonlyMap<string, Vendor>;
  clock: Clock;
  log: Logger;
  /** Reads from the vendor with the real secret. Throws when it cannot. */
  read: (vendor: Vendor, place: Place) => Promise<VendorAnswer>;
  /** Opens the sealed facts of an open call; `null` when it cannot. */
  openLookup: (call: Call) => Pick<LookupFacts, "body" | "headers"> | null;
  /** Absence proves nothing before this time after the last send, ms. Default 15 minutes. */
  absentAfterMs?: number;
  /** Calls looked at in one run. */
  maxCalls?: number;
}

/** What to read at a vendor. */
export interface Place {
  target: string;
  subdomain: string | null;
  /** To send beside the credential. */
  headers: Record<string, string>;
}

export const ABSENT_AFTER_MS = 15 * 60_000;
const PAGE = 200;
/** Open calls of one run; the next run goes on behind them, so that calls which stay open keep nobody else from being looked at. */
const MAX_CALLS = 5_000;
const MAX_LOOKUP_PAGES = 50;
const AT_ONCE = 4;
/** Objects of other calls that are read to tell two identical ones apart; with more than that nothing can be told. */
const MAX_TAKEN = 10_000;
const CLOCK_SKEW_MS = 5 * 60_000;

type Ended = "settled" | "released" | "unknown" | "repriced" | "skipped";

/** One run at a time: a second request while one is under way gets that one's report. */
export function createReconciler(deps: ReconcileDeps): () => Promise<ReconcileReport> {
  let running: Promise<ReconcileReport> | null = null;
  let behind: string | null = null;
  const run = async (): Promise<ReconcileReport> => {
    const { report, cursor } = await reconcile(deps, behind);
    behind = cursor;
    return report;
  };
  return () => {
    running ??= run().finally(() => {
      running = null;
    });
    return running;
  };
}

/** @returns with the report where the next run goes on; `null`: at the start. */
async function reconcile(
  deps: ReconcileDeps,
  from: string | null,
): Promise<{ report: ReconcileReport; cursor: string | null }> {
  const report: ReconcileReport = { looked: 0, settled: 0, released: 0, unknown: 0, repriced: 0 };
  const { maxCalls = MAX_CALLS } = deps;
  let cursor = from;
  let read = 0;
  do {
    const page = await deps.store.listOpenCalls(Math.min(PAGE, maxCalls), cursor);
    for (let at = 0; at < page.items.length; at += AT_ONCE) {
      for (const ended of await Promise.all(page.items.slice(at, at + AT_ONCE).map((call) => lookAt(deps, call)))) {
        if (ended === "skipped") continue;
        report.looked += 1;
        report[ended] += 1;
      }
    }
    read += page.items.length;
    cursor = page.cursor;
  } while (cursor !== null && read < maxCalls);
  deps.log.info({ ...report }, "reconciled");
  return { report, cursor };
}

async function lookAt(deps: ReconcileDeps, open: Call): Promise<Ended> {
  try {
    if (open.state === "settled") return await reprice(deps, open);
    const call = await orphaned(deps, open);
    if (call.state !== "unknown") return "skipped";
    const outcome = await lookUp(deps, call);
    if (outcome === null) return "unknown";
    const { state } = await deps.ledger.evidence(call, outcome);
    return state === "settled" || state === "released" ? state : "unknown";
  } catch (error) {
    deps.log.warn({ err: error, call_id: open.id, vendor: open.vendor }, "a call could not be reconciled");
    return "unknown";
  }
}

/** A RESERVED call whose lease is long over has lost its sender. */
async function orphaned({ ledger, clock }: ReconcileDeps, call: Call): Promise<Call> {
  if (call.state !== "reserved" || clock.now() < call.leaseUntil + CLOCK_SKEW_MS) return call;
  return ledger.lose(call, "lease_over");
}

async function lookUp(deps: ReconcileDeps, call: Call): Promise<Outcome | null> {
  const vendor = deps.vendors.get(call.vendor);
  const facts = vendor && (await factsOf(deps, call));
  const plan = facts && vendor.reconcile(call.endpoint, call.path, facts);
  if (!plan) return null;
  let target = plan.target;
  for (let page = 0; page < MAX_LOOKUP_PAGES; page += 1) {
    const answer = await deps.read(vendor, { target, subdomain: plan.subdomain, headers: plan.headers });
    const found = plan.read(answer);
    switch (found.kind) {
      case "next":
        target = found.target;
        break;
      case "found":
        return outcomeOf(found.verdict, answer.status);
      case "absent":
        return oldEnough(deps, call) ? { kind: "release", status: null, code: "absent_at_vendor" } : null;
      case "unsure":
        return null;
    }
  }
  return null;
}

async function factsOf(deps: ReconcileDeps, call: Call): Promise<LookupFacts | null> {
  const kept = deps.openLookup(call);
  if (kept === null) return null;
  // An idempotent call is found by its key; others are told apart by what other calls own already.
  const taken = call.idempotent ? new Set<string>() : await takenObjects(deps, call);
  if (taken === null) return null;
  return {
    vendorKey: `${call.id}-${call.generation}`,
    callId: call.id,
    firstSentAt: call.firstSentAt,
    lastSentAt: call.leaseUntil,
    ...kept,
    quoteMicros: call.quoteMicros,
    objectId: call.objectId,
    taken: (objectId) => taken.has(objectId),
  };
}

async function takenObjects({ store }: ReconcileDeps, call: Call): Promise<Set<string> | null> {
  const taken = new Set<string>();
  let cursor: string | null = null;
  do {
    const filter = { vendor: call.vendor, state: "settled", since: call.firstSentAt - 86_400_000 } as const;
    const page = await store.listCalls(filter, PAGE, cursor);
    for (const { objectId } of page.items) if (objectId !== null) taken.add(objectId);
    cursor = page.cursor;
  } while (cursor !== null && taken.size < MAX_TAKEN);
  return cursor === null ? taken : null;
}

function oldEnough({ clock, absentAfterMs = ABSENT_AFTER_MS }: ReconcileDeps, call: Call): boolean {
  return clock.now() - call.updatedAt >= absentAfterMs;
}

function outcomeOf(verdict: Verdict, status: number): Outcome | null {
  if (verdict.kind === "settle") return { ...verdict, status, receipt: null };
  return verdict.kind === "release" ? { kind: "release", status, code: "found_ended" } : null;
}

async function reprice(deps: ReconcileDeps, call: Call): Promise<Ended> {
  const vendor = deps.vendors.get(call.vendor);
  const place = call.objectId === null ? null : vendor?.priceTarget(call.endpoint, call.path, call.objectId);
  if (!vendor || !place) return "skipped";
  const micros = vendor.price(call.endpoint, await deps.read(vendor, { ...place, headers: {} }));
  if (micros === null) return "skipped";
  await deps.ledger.adjust(call, micros, "the vendor named the price");
  return "repriced";
}
