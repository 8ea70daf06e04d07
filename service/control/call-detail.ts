/** A call with its transitions, read from the key's hash chain. */
import type { z } from "zod";
import { isPast } from "../audit/retention.ts";
import type { Call, ChainRecord } from "../ledger/types.ts";
import { renderCall, renderRecord } from "./render.ts";
import type { ControlDeps } from "./route.ts";
import type { callDetailShape } from "./schemas.ts";

/** Transitions shown of one call, the latest. */
const MAX_TRANSITIONS = 50;

export async function renderCallDetail(
  call: Call,
  { store, clock, retentionMs }: Pick<ControlDeps, "store" | "clock" | "retentionMs">,
): Promise<z.infer<typeof callDetailShape>> {
  const key = (await store.read(call.keyId, []))?.state;
  const past = key !== undefined && isPast(key, { retentionMs, now: clock.now() });
  const shown = past ? [] : call.chain.slice(-MAX_TRANSITIONS);
  const records: ChainRecord[] = [];
  for (const n of shown) {
    const page = await store.findPage(call.keyId, n);
    const record = page?.records.find((candidate) => candidate.n === n);
    if (!record) throw new Error(`record ${n} of key ${call.keyId} is missing from the chain`);
    records.push(record);
  }
  return {
    // It may have been made before its key was bound to the execution.
    ...renderCall({ ...call, execution: call.execution ?? key?.execution ?? null }),
    transitions: records.map(renderRecord),
    transitions_left_off: call.chain.length - shown.length,
  };
}
