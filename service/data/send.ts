/** Sends a reserved call with the real secret; once more when the vendor refuses the secret. */
import type { Refusal } from "../errors.ts";
import { closed } from "../ledger/balance.ts";
import type { Reservation } from "../ledger/ledger.ts";
import type { VendorMessage } from "../vendors/vendor.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { Reply } from "./forward.ts";
import { type PricedCall, rejectsCredential } from "./outcome.ts";
import { asRefusal } from "./refuse.ts";
import { hitsAny, type SecretScanner } from "./scan.ts";
import type { SendOptions } from "./upstreams.ts";

export interface Sent {
  reply: Reply;
  /** For every secret that was used. */
  scanners: SecretScanner[];
  /** The answer, as far as it was read, holds a secret. */
  tainted: boolean;
}

/** Never rejects: what a failure here means for the money is in the reply. */
export async function send(
  plane: DataPlane,
  exchange: Exchange,
  call: PricedCall,
  reservation: Extract<Reservation, { kind: "forward" }>,
  secret: string,
): Promise<Sent> {
  const { vendor, operation, request, quote } = call;
  const { probe, clock, limits } = plane;
  const until = clock.now() + limits.upstreamMs;
  const scanners = [plane.scanners.for(vendor, secret)];
  const options: SendOptions = {
    ms: limits.upstreamMs,
    stream: operation.stream,
    gate: () => lastLook(plane, exchange),
    onSent: probe ? () => probe("sent", exchange) : null,
  };
  const attempt = (message: VendorMessage, with_: string): Promise<Reply> =>
    plane.upstreams.send(vendor, operation.subdomain, vendor.authorise(message, with_), options);
  let message: VendorMessage;
  let reply: Reply;
  try {
    const tags = { callId: reservation.call.id, vendorKey: reservation.vendorKey };
    message = vendor.encode(operation, request, quote, tags);
    reply = await attempt(message, secret);
  } catch (error) {
    return { reply: { kind: "stopped", refusal: asRefusal(error, plane.log) }, scanners, tainted: false };
  }
  if (rejectsCredential(call, reply, plane.log)) {
    const newer = await newSecret(plane, vendor.id);
    if (newer !== null) {
      if (reply.kind === "answer") reply.rest?.cancel();
      scanners.push(plane.scanners.for(vendor, newer));
      options.ms = Math.max(1, until - clock.now());
      reply = await attempt(message, newer);
    }
  }
  const tainted = reply.kind === "answer" && taints(scanners, reply.headers, reply.body);
  if (tainted) plane.log.error({ call_id: exchange.callId, vendor: vendor.id }, "a vendor's answer held its secret");
  return { reply, scanners, tainted };
}

/** The secret, fetched anew; `null` when it cannot be had. */
async function newSecret(plane: DataPlane, vendorId: string): Promise<string | null> {
  try {
    await plane.secrets.refresh(vendorId);
    return await plane.secrets.get(vendorId);
  } catch (error) {
    plane.log.error({ err: error, vendor: vendorId }, "the vendor's secret could not be fetched anew");
    return null;
  }
}

/** Right before the first byte: what this process knows of the key now. A revoke or pause since the reservation stops the call. */
function lastLook(plane: DataPlane, exchange: Exchange): Refusal | null {
  plane.probe?.("before_send", exchange);
  const key = plane.ledger.peek(exchange.key!.keyId);
  return key && closed(key, plane.clock.now());
}

function taints(scanners: readonly SecretScanner[], headers: Record<string, string>, body: Buffer): boolean {
  return hitsAny(scanners, body) || hitsAny(scanners, Buffer.from(Object.values(headers).join("\n")));
}
