/** Commits how a send ended, before the client hears of it. */
import { Refusal } from "../errors.ts";
import type { Outcome, Reservation } from "../ledger/ledger.ts";
import { passedHeaders } from "./answer.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./forward.ts";
import type { PricedCall } from "./outcome.ts";

/**
 * When the ledger cannot take it now, the client still gets the vendor's answer, and the outcome is tried until it lands.
 * @param reply what the client will get, when that is the vendor's answer: kept for repeats.
 */
export async function finish(
  plane: DataPlane,
  exchange: Exchange,
  call: PricedCall,
  reservation: Extract<Reservation, { kind: "forward" }>,
  outcome: Outcome,
  reply: Reply | null,
): Promise<void> {
  const { ledger, log } = plane;
  const { keyId, id } = reservation.call;
  const kept: Outcome =
    outcome.kind === "settle" && reply ? { ...outcome, receipt: receiptOf(plane, exchange, call, id, reply) } : outcome;
  try {
    const ended = await ledger.finish(keyId, id, reservation.send, kept);
    exchange.state = ended.state;
    exchange.costMicros = ended.costMicros;
  } catch (error) {
    ledger.finishLater(keyId, id, reservation.send, kept);
    exchange.pending = true;
    if (!(error instanceof Refusal)) log.error({ err: error, call_id: id }, "an outcome was not taken by the ledger");
  }
}

/** An answer that cannot be sealed must not keep its outcome from the ledger: then repeats are told `already_settled`. */
function receiptOf(
  plane: DataPlane,
  exchange: Exchange,
  { operation }: PricedCall,
  callId: string,
  reply: Reply,
): string | null {
  if (!operation.shield || reply.kind !== "answer" || reply.cut || reply.rest) return null;
  const { status, headers, body } = reply;
  if (body.length > plane.limits.receiptBytes) return null;
  try {
    return plane.seals.sealAnswer(exchange.key!, callId, { status, headers: passedHeaders(headers), body });
  } catch (error) {
    plane.log.error({ err: error, call_id: callId }, "an answer could not be sealed");
    return null;
  }
}
