/**
 * How a call ends: settle, release, unknown, and what may still change afterwards. A release frees money only when it is proved
 * that no send of the call took effect; spend is recorded in full, whatever was reserved.
 */
import { Refusal } from "../errors.ts";
import { overCap } from "./balance.ts";
import type { Draft } from "./draft.ts";
import { leave } from "./exposure.ts";
import type { Outcome } from "./ledger.ts";
import { moveTo } from "./transition.ts";
import type { Act, Call } from "./types.ts";

export const COST_OVER_RESERVATION = "cost_over_reservation";

/** Receipts live 72 h longer than their key. */
const RECEIPT_LIFE_AFTER_KEY_MS = 72 * 3_600_000;

type Settle = Extract<Outcome, { kind: "settle" }>;

interface Author {
  act?: Act;
  by?: string;
  reason?: string;
}

function callOf(draft: Draft, callId: string): Call {
  const call = draft.need("c", callId);
  if (!call) throw new Error(`call ${callId} is not in the ledger`);
  return call;
}

/** The end of one send. A late answer of an earlier send can settle, but it can never release. */
export function finish(draft: Draft, callId: string, send: number, outcome: Outcome): Call {
  const call = callOf(draft, callId);
  if (outcome.kind === "settle") return settle(draft, call, outcome, {});
  if (call.state === "settled" || call.state === "released") return call;
  const latest = send === call.sends;
  if (!latest) return call;
  const ended: Call = { ...call, status: outcome.status, code: outcome.code };
  return outcome.kind === "release" && !call.doubt ? release(draft, ended, {}) : unknown(draft, ended);
}

/** What a look-up proved about an UNKNOWN call, unless it was sent again meanwhile. */
export function evidence(draft: Draft, callId: string, seenSends: number, outcome: Outcome): Call {
  const call = callOf(draft, callId);
  if (call.state !== "unknown" || call.sends !== seenSends || outcome.kind === "unknown") return call;
  const author = { reason: "found by looking at the vendor" };
  if (outcome.kind === "settle") return settle(draft, call, outcome, author);
  return release(draft, { ...call, code: outcome.code }, { reason: "absent at the vendor" });
}

/** The sender is gone: a RESERVED call is UNKNOWN from now on. */
export function lose(draft: Draft, callId: string, code: string): Call {
  const call = callOf(draft, callId);
  return call.state === "reserved" ? unknown(draft, { ...call, code }) : call;
}

export type HandDecision = { settleMicros: number } | "release";

export function decideByHand(draft: Draft, callId: string, decision: HandDecision, by: string, reason: string): Call {
  const call = callOf(draft, callId);
  if (call.state !== "unknown") {
    throw new Refusal("call_state", `call ${callId} is ${call.state}; only an unknown call is decided by hand`, {
      callId,
    });
  }
  if (decision === "release")
    return release(draft, { ...call, code: "by_hand" }, { act: "release_by_hand", by, reason });
  return settleAt(draft, { ...call, code: null }, decision.settleMicros, { act: "settle_by_hand", by, reason });
}

/** The true cost of a settled call. */
export function adjust(draft: Draft, callId: string, micros: number, reason: string): Call {
  const call = callOf(draft, callId);
  if (call.state !== "settled") return call;
  const spentMicros = micros - call.costMicros;
  if (spentMicros === 0 && !call.pricePending) return call;
  const adjusted = moveTo(draft, { ...call, costMicros: micros, pricePending: false }, "settled", {
    act: "adjust",
    spentMicros,
    reason,
  });
  // What an earlier adjustment gave back may be reserved by others now: growing again can pass the cap below the quote.
  if (spentMicros > 0 && (micros > call.quoteMicros || overCap(draft.state, draft.now))) {
    pause(draft, COST_OVER_RESERVATION);
  }
  return adjusted;
}

function settle(draft: Draft, call: Call, outcome: Settle, author: Author): Call {
  const again = call.state === "settled";
  if (again && (outcome.objectId === null || call.objectId === null || outcome.objectId === call.objectId)) return call;
  if (outcome.receipt !== null && draft.look("r", call.id) == null) {
    draft.write("r", call.id, {
      sealed: outcome.receipt,
      expiresAt: draft.state.expiresAt + RECEIPT_LIFE_AFTER_KEY_MS,
    });
  }
  const exposure = outcome.object === null ? null : leave(draft, call, outcome.object);
  const owner = exposure && exposure.owner.id !== call.id ? exposure.owner : null;
  const settled: Call = {
    ...call,
    code: null,
    status: outcome.status,
    objectId: outcome.objectId ?? call.objectId,
    currency: outcome.currency ?? call.currency,
    amountMinor: outcome.amountMinor ?? call.amountMinor,
    pricePending: outcome.pricePending,
  };
  // A second execution under one key (the vendor had forgotten it) costs a second time.
  const costMicros = (again ? call.costMicros : 0) + (owner ? 0 : outcome.micros);
  const heldMicros = call.reservedMicros;
  const done = settleAt(draft, settled, costMicros, author);
  if (!owner) return done;
  const exposedMicros = exposure?.mayShrink ? outcome.micros : Math.max(outcome.micros, owner.costMicros);
  const grownMicros = exposedMicros - owner.costMicros;
  if (grownMicros > heldMicros) pause(draft, COST_OVER_RESERVATION);
  if (grownMicros !== 0) {
    moveTo(draft, { ...owner, costMicros: exposedMicros }, "settled", {
      act: "adjust",
      spentMicros: grownMicros,
      reason: `exposure of the same object after ${call.id}`,
    });
  }
  return done;
}

function settleAt(draft: Draft, call: Call, costMicros: number, author: Author): Call {
  const before = draft.need("c", call.id);
  const spentMicros = costMicros - (before?.costMicros ?? 0);
  pauseWhenOver(draft, spentMicros, call.reservedMicros);
  return moveTo(draft, { ...call, costMicros, reservedMicros: 0, doubt: false }, "settled", {
    act: author.act ?? "settle",
    reservedMicros: -call.reservedMicros,
    spentMicros,
    ...(author.by === undefined ? {} : { by: author.by }),
    ...(author.reason === undefined ? {} : { reason: author.reason }),
  });
}

function release(draft: Draft, call: Call, author: Author): Call {
  return moveTo(draft, { ...call, reservedMicros: 0, doubt: false }, "released", {
    act: author.act ?? "release",
    reservedMicros: -call.reservedMicros,
    ...(author.by === undefined ? {} : { by: author.by }),
    ...(author.reason === undefined ? {} : { reason: author.reason }),
  });
}

function unknown(draft: Draft, call: Call): Call {
  return moveTo(draft, { ...call, doubt: true }, "unknown", { act: "unknown" });
}

function pauseWhenOver(draft: Draft, costMicros: number, reservedMicros: number): void {
  if (costMicros > reservedMicros) pause(draft, COST_OVER_RESERVATION);
}

/** A key that cost more than it reserved takes no call until an operator has looked, also when it was paused for less. */
function pause(draft: Draft, reason: string): void {
  if (draft.state.status === "revoked" || draft.state.reason === reason) return;
  draft.state.status = "paused";
  draft.state.reason = reason;
  draft.record({ act: "pause", by: "keybrake", reason });
}
