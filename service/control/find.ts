/** The key or call that a path names, as far as the caller may know of it. */
import { isPast, mayBePast } from "../audit/retention.ts";
import { Refusal } from "../errors.ts";
import type { Call, KeyState } from "../ledger/types.ts";
import { type Principal, visible } from "./principal.ts";
import type { ControlDeps } from "./route.ts";

/** The key as the store has it now. Throws `not_found`, also for a key that the caller may not see. */
export async function findKey(
  { ledger }: Pick<ControlDeps, "ledger">,
  principal: Principal,
  keyId: string | undefined,
): Promise<KeyState> {
  const key = keyId === undefined ? null : await ledger.fresh(keyId);
  if (!key || !visible(principal, key)) throw new Refusal("not_found", "there is no vault key with this key_id");
  return key;
}

/** Throws `not_found`, also for a call that the caller may not see, and for one that is not kept any more. */
export async function findCall(
  { store, clock, retentionMs }: Pick<ControlDeps, "store" | "clock" | "retentionMs">,
  principal: Principal,
  callId: string | undefined,
): Promise<Call> {
  const call = callId === undefined ? null : await store.findCall(callId);
  if (!call || !visible(principal, call)) throw noCall();
  const retention = { retentionMs, now: clock.now() };
  if (mayBePast(call, retention)) {
    const key = await store.read(call.keyId, []);
    if (key && isPast(key.state, retention)) throw noCall();
  }
  return call;
}

const noCall = (): Refusal => new Refusal("not_found", "there is no call with this call_id");
