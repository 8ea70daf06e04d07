/** The repeat of a settled call: answered from its receipt, nothing is sent. */
import { Refusal } from "../errors.ts";
import type { Call } from "../ledger/types.ts";
import { answer } from "./answer.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";

/** Throws 409 `already_settled` when the answer was not kept. */
export async function repeat(plane: DataPlane, exchange: Exchange, call: Call): Promise<void> {
  const key = exchange.key!;
  const sealed = await plane.ledger.receipt(key.keyId, call.id);
  const kept = sealed === null ? null : plane.seals.openAnswer(key, call.id, sealed);
  exchange.state = call.state;
  exchange.costMicros = call.costMicros;
  if (!kept) {
    throw new Refusal(
      "already_settled",
      "this call took effect before; its answer is not kept, so ask the vendor for the object",
      {
        callId: call.id,
        details: { call_id: call.id, object_id: call.objectId },
      },
    );
  }
  exchange.replayed = true;
  answer(plane, exchange, kept);
}
