/** What the ledger is asked: one call, its price, and how a repeat of it is recognised. */
import { Refusal } from "../errors.ts";
import type { ReserveRequest } from "../ledger/ledger.ts";
import type { KeyState } from "../ledger/types.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { RequestHeaders } from "./headers.ts";
import { LEASE_MARGIN_MS } from "./limits.ts";
import type { PricedCall } from "./outcome.ts";

const identifier = /^[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?$/;

/** Throws `request_invalid` for an idempotency key that cannot name a call. */
export function reserveRequest(
  plane: DataPlane,
  exchange: Exchange,
  key: KeyState,
  headers: RequestHeaders,
  { vendor, operation, request, quote }: PricedCall,
): ReserveRequest {
  // A vendor that knows no idempotency key still has clients that make one; it names the call to us.
  const clientKey = headers[vendor.idempotencyHeader ?? "idempotency-key"] ?? request.bodyKey;
  const dedupe = headers["x-keybrake-dedupe"] ?? null;
  for (const [name, value] of [
    ["the idempotency key", clientKey],
    ["x-keybrake-dedupe", dedupe],
  ] as const) {
    if (value !== null && !identifier.test(value)) {
      throw new Refusal("request_invalid", `${name} must be 1 to 255 printable ASCII characters`);
    }
  }
  const facts = vendor.lookupFacts(operation, request);
  return {
    vendor: vendor.id,
    endpoint: operation.endpoint,
    method: operation.method,
    path: operation.path,
    canonical: request.canonical,
    shield: operation.shield,
    quoteMicros: quote.micros,
    object: quote.object,
    currency: quote.currency,
    amountMinor: quote.amountMinor,
    clientKey: clientKey === null ? null : { value: clientKey, madeBy: vendor.keyMadeBy(clientKey) },
    dedupe,
    task: exchange.task,
    attempt: exchange.attempt,
    idempotent: operation.idempotent,
    idempotencyLifeMs: vendor.idempotencyLifeMs,
    leaseMs: plane.limits.upstreamMs + LEASE_MARGIN_MS,
    lookup: facts && plane.seals.sealLookup(key, facts),
  };
}
