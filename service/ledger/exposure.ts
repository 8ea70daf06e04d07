/**
 * The exposure of one vendor object counts once, in the call that owns it; a call about the object reserves only what it adds.
 * Of calls that overlap nobody knows which the vendor took last, whatever the order of their answers. So what one of them gives
 * back does not count: another may have been priced on it, and may have been taken after it.
 */
import { Refusal } from "../errors.ts";
import { type Draft, NeedDocs } from "./draft.ts";
import { objectKey } from "./identity.ts";
import type { ReserveRequest } from "./ledger.ts";
import type { Call, DocId, OwnedObject } from "./types.ts";

/** Calls about one object that may be open at once; each is read when another settles. */
const MAX_OPEN = 32;

/** What the key holds already for the vendor object that the quote is about. */
export function heldFor(draft: Draft, request: ReserveRequest): number {
  if (request.object === null) return 0;
  const owned = draft.need("o", objectKey(draft.state.salt, request.vendor, request.object));
  const owner = owned?.callId ? draft.need("c", owned.callId) : null;
  return owner ? owner.costMicros + owner.reservedMicros : 0;
}

/** Notes that a call about the object is about to be sent. Throws `in_progress` when too many are open. */
export function enter(draft: Draft, request: ReserveRequest, callId: string): void {
  if (request.object === null) return;
  const id = objectKey(draft.state.salt, request.vendor, request.object);
  const owned = draft.need("o", id);
  const open = openBeside(draft, owned, callId);
  if (open.length >= MAX_OPEN) {
    throw new Refusal(
      "in_progress",
      `${MAX_OPEN} calls about ${request.object} have no outcome yet; ask again shortly`,
    );
  }
  draft.write("o", id, {
    callId: owned?.callId ?? null,
    open: [...open, callId],
    overlapped: open.length > 0 && (owned?.overlapped ?? false),
  });
}

/**
 * The settled call that holds the exposure of a vendor's object: the first to settle on it becomes its owner.
 * @returns with it, whether the object's exposure may become less by this call.
 */
export function leave(draft: Draft, call: Call, object: string): { owner: Call; mayShrink: boolean } {
  const id = objectKey(draft.state.salt, call.vendor, object);
  // One that is not known is taken for new: if it exists after all, the store says so.
  const owned = draft.look("o", id) ?? null;
  const known = owned?.callId ? draft.need("c", owned.callId) : null;
  const owner = known?.state === "settled" ? known : call;
  const open = openBeside(draft, owned, call.id);
  const entered = isOpen(call) && (owned?.open?.includes(call.id) ?? false);
  const overlapped = open.length > 0;
  const before = owned?.open?.length ?? 0;
  if (owner !== known || open.length !== before || overlapped !== (owned?.overlapped ?? false)) {
    draft.write("o", id, { callId: owner.id, ...(overlapped && { open, overlapped }) });
  }
  return { owner, mayShrink: entered && !overlapped && owned?.overlapped !== true };
}

/** Calls about the object that may still take effect, `callId` aside. */
function openBeside(draft: Draft, owned: OwnedObject | null, callId: string): string[] {
  const others = (owned?.open ?? []).filter((other) => other !== callId);
  const unread = others.filter((other) => draft.look("c", other) === undefined);
  if (unread.length > 0) throw new NeedDocs(unread.map((other): DocId => `c:${other}`));
  return others.filter((other) => isOpen(draft.look("c", other)));
}

const isOpen = (call: Call | null | undefined): boolean => call?.state === "reserved" || call?.state === "unknown";
