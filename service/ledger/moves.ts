import type { Move } from "../metrics/metrics.ts";
import type { Draft } from "./draft.ts";
import type { Call } from "./types.ts";

/** What a draft changes about each call, as figures that add up to the key's balance. */
export function movesOf(draft: Draft): Move[] {
  const moves: Move[] = [];
  for (const { before, after } of draft.callChanges()) {
    const reservedMicros = after.reservedMicros - (before?.reservedMicros ?? 0);
    const unknownMicros = unknownOf(after) - unknownOf(before);
    const spentMicros = after.costMicros - (before?.costMicros ?? 0);
    if (reservedMicros === 0 && unknownMicros === 0 && spentMicros === 0) continue;
    moves.push({ vendor: after.vendor, endpoint: after.endpoint, reservedMicros, unknownMicros, spentMicros });
  }
  return moves;
}

const unknownOf = (call: Call | null): number => (call?.state === "unknown" ? call.reservedMicros : 0);
