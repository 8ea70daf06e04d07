/** A call with its transitions, read from the key's hash chain. */
import type { z } from "zod";
import type { Call, ChainRecord } from "../ledger/types.ts";
import type { Store } from "../stores/store.ts";
import { renderCall, renderRecord } from "./render.ts";
import type { callDetailShape } from "./schemas.ts";

/** Transitions shown of one call, the latest. */
const MAX_TRANSITIONS = 50;

export async function renderCallDetail(
  call: Call,
  store: Pick<Store, "findPage">,
): Promise<z.infer<typeof callDetailShape>> {
  const shown = call.chain.slice(-MAX_TRANSITIONS);
  const records: ChainRecord[] = [];
  for (const n of shown) {
    const page = await store.findPage(call.keyId, n);
    const record = page?.records.find((candidate) => candidate.n === n);
    if (!record) throw new Error(`record ${n} of key ${call.keyId} is missing from the chain`);
    records.push(record);
  }
  return {
    ...renderCall(call),
    transitions: records.map(renderRecord),
    transitions_left_off: call.chain.length - shown.length,
  };
}
