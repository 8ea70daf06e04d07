/** Moves a call from one state to another: its document, the key's counts and balance, and the chain, in one step. */
import type { Draft, RecordOf } from "./draft.ts";
import { unknownKey } from "./identity.ts";
import type { Call, CallState } from "./types.ts";

/** @returns the call as written. A call that was never sent is new: it leaves no count behind. */
export function moveTo(draft: Draft, call: Call, state: Exclude<CallState, "refused">, record: RecordOf): Call {
  const before = draft.look("c", call.id);
  const { counts } = draft.state;
  if (before && before.state !== "refused") counts[before.state] -= 1;
  counts[state] += 1;
  if (state === "unknown" && before?.state !== "unknown") mark(draft, call);
  if (before?.state === "unknown" && state !== "unknown") unmark(draft, call);
  const ended = state === "settled" || state === "released";
  const n = draft.record({ ...record, call });
  const moved: Call = {
    ...call,
    state,
    lookup: ended ? null : call.lookup,
    settledAt: state !== "settled" ? null : before?.state === "settled" ? call.settledAt : draft.now,
    updatedAt: draft.now,
    chain: [...call.chain, n],
    token: draft.token,
  };
  draft.write("c", call.id, moved);
  return moved;
}

function mark(draft: Draft, call: Call): void {
  const id = unknownKey(draft.state.salt, call.requestHash);
  draft.write("u", id, { count: (draft.need("u", id)?.count ?? 0) + 1, callId: call.id });
}

function unmark(draft: Draft, call: Call): void {
  const id = unknownKey(draft.state.salt, call.requestHash);
  const marker = draft.need("u", id);
  if (marker && marker.count > 1) draft.write("u", id, { ...marker, count: marker.count - 1 });
  else draft.remove("u", id);
}
