/** What operators do to a key, and the audit rows of refusals. */
import { Refusal } from "../errors.ts";
import { formatUsd } from "../money.ts";
import { blankCall } from "./blank-call.ts";
import type { Draft } from "./draft.ts";
import type { KeyAct, RefusedCall } from "./ledger.ts";
import type { KeyState } from "./types.ts";

/** Audit rows kept of one key's refusals. Beyond it they are only counted, by code. */
export const MAX_REFUSAL_ROWS = 1000;

export function actOn(draft: Draft, act: KeyAct): KeyState {
  const { state } = draft;
  switch (act.act) {
    case "revoke":
      if (state.status === "revoked") break;
      state.status = "revoked";
      state.reason = act.reason;
      draft.record(act);
      break;
    case "pause":
      refuseRevoked(state);
      if (state.status === "paused") break;
      state.status = "paused";
      state.reason = act.reason;
      draft.record(act);
      break;
    case "resume":
      refuseRevoked(state);
      if (state.status === "active") break;
      state.status = "active";
      state.reason = null;
      draft.record(act);
      break;
    case "raise":
      raise(draft, act);
      break;
    case "bind":
      bind(draft, act);
      break;
  }
  return state;
}

function refuseRevoked(state: KeyState): void {
  if (state.status === "revoked") {
    throw new Refusal(
      "call_state",
      `key ${state.keyId} is revoked, and a revoked key stays so; issue a key under another label`,
    );
  }
}

function raise(draft: Draft, { capMicros, by }: Extract<KeyAct, { act: "raise" }>): void {
  const { state } = draft;
  refuseRevoked(state);
  if (state.capMicros === null) {
    throw new Refusal("request_invalid", `key ${state.keyId} has only a daily cap, and only usd_cap can be raised`);
  }
  if (capMicros < state.capMicros) {
    throw new Refusal("request_invalid", `usd_cap is the new total and cannot be below $${formatUsd(state.capMicros)}`);
  }
  if (capMicros === state.capMicros) return;
  state.capMicros = capMicros;
  draft.record({ act: "raise", capMicros, by });
}

/** Also a key that has ended: what its execution did is found by the execution's name. */
function bind(draft: Draft, { execution, by }: Extract<KeyAct, { act: "bind" }>): void {
  const { state } = draft;
  if (state.execution === execution) return;
  if (state.execution !== null) {
    throw new Refusal(
      "call_state",
      `key ${state.keyId} is of the execution ${state.execution}; an execution of its own needs a key of its own`,
    );
  }
  state.execution = execution;
  draft.record({ act: "bind", by, reason: execution });
}

/** Counts a refusal, and keeps a row of it while the key has room for one. */
export function recordRefusal(draft: Draft, id: string, refused: RefusedCall): void {
  const { state } = draft;
  state.refusals[refused.code] = (state.refusals[refused.code] ?? 0) + 1;
  if (state.refusalRows >= MAX_REFUSAL_ROWS) return;
  state.refusalRows += 1;
  draft.write("c", id, { ...blankCall(draft, id), ...refused, state: "refused" });
}
