/** Commits how a send ended, before the client hears of it. */
import { Refusal } from "../errors.ts";
import type { Outcome, Reservation } from "../ledger/ledger.ts";
import { passedHeaders } from "./answer.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./forward.ts";
import type { PricedCall } from "./outcome.ts";

const landed: readonly string[] = [];
const pending: readonly string[] = ["x-keybrake-settled", "pending"];

/**
 * When the ledger cannot take it now, the client still gets the vendor's answer, and the outcome is tried until it lands.
 * @param reply what the client will get, when that is the vendor's answer: kept for repeats.
 * @returns headers that tell the client which of the two it was.
 */
export async function finish(
  plane: DataPlane,
  exchange: Exchange,
  call: PricedCall,
  reservation: Extract<Reservation, { kind: "forward" }>,
  outcome: Outcome,
  reply: Reply | null,
): Promise<readonly string[]> {
  const { ledger, log } = plane;
  const { keyId, id } = reservation.call;
  const kept: Outcome =
    outcome.kind === "settle" && reply ? { ...outcome, receipt: receiptOf(plane, exchange, call, id, reply) } : outcome;
  try {
    const ended = await ledger.finish(keyId, id, reservation.send, kept);
    exchange.state = ended.state;
    exchange.costMicros = ended.costMicros;
    return landed;
  } catch (error) {
    ledger.finishLater(keyId, id, reservation.send, kept);
    exchange.state = "pending";
    if (!(error instanceof Refusal)) log.error({ err: error, call_id: id }, "an outcome was not taken by the ledger");
    return pending;
  }
}

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
  return plane.seals.sealAnswer(exchange.key!, callId, { status, headers: passedHeaders(headers), body });
}
