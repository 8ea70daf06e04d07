/** The pure core: what one intent does to one key. No clock, no store, no I/O: the same input gives the same commit. */
import { actOn, recordRefusal } from "./acts.ts";
import { assertSound } from "./balance.ts";
import type { Draft } from "./draft.ts";
import type { KeyAct, Outcome, RefusedCall, ReserveRequest } from "./ledger.ts";
import { adjust, decideByHand, evidence, finish, type HandDecision, lose } from "./outcome.ts";
import { type ReserveDecision, reserve } from "./reserve.ts";
import type { Call, KeyState } from "./types.ts";

export type Intent =
  | { kind: "reserve"; request: ReserveRequest }
  | { kind: "finish"; callId: string; send: number; outcome: Outcome }
  | { kind: "evidence"; callId: string; sends: number; outcome: Outcome }
  | { kind: "lose"; callId: string; code: string }
  | { kind: "by_hand"; callId: string; decision: HandDecision; by: string; reason: string }
  | { kind: "adjust"; callId: string; micros: number; reason: string }
  | { kind: "act"; act: KeyAct }
  | { kind: "refused"; callId: string; refused: RefusedCall };

export interface Decisions {
  reserve: ReserveDecision;
  finish: Call;
  evidence: Call;
  lose: Call;
  by_hand: Call;
  adjust: Call;
  act: KeyState;
  refused: null;
}

export type Decision = Decisions[Intent["kind"]];

/** Applies one intent to the draft, or throws (`Refusal`, `NeedDocs`) and leaves the draft untouched. */
export function evaluate(draft: Draft, intent: Intent): Decision {
  return draft.attempt(() => {
    const decision = apply(draft, intent);
    assertSound(draft.state);
    return decision;
  });
}

function apply(draft: Draft, intent: Intent): Decision {
  switch (intent.kind) {
    case "reserve":
      return reserve(draft, intent.request);
    case "finish":
      return finish(draft, intent.callId, intent.send, intent.outcome);
    case "evidence":
      return evidence(draft, intent.callId, intent.sends, intent.outcome);
    case "lose":
      return lose(draft, intent.callId, intent.code);
    case "by_hand":
      return decideByHand(draft, intent.callId, intent.decision, intent.by, intent.reason);
    case "adjust":
      return adjust(draft, intent.callId, intent.micros, intent.reason);
    case "act":
      return actOn(draft, intent.act);
    case "refused":
      recordRefusal(draft, intent.callId, intent.refused);
      return null;
  }
}
