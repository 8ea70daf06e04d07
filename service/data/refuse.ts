/** Refusals, in the shape that the vendor's own SDK throws as a typed error. */
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Vendor } from "../vendors/vendor.ts";
import { answerText } from "./answer.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import { type ErrorBody, plainBody } from "./plain-body.ts";

/** Records the refusal of a valid key, without waiting for it, and answers. */
export function refuse(plane: DataPlane, exchange: Exchange, refusal: Refusal): void {
  exchange.code = refusal.code;
  exchange.state ??= "refused";
  exchange.callId ??= refusal.callId;
  record(plane, exchange, refusal);
  const { contentType, body } = shaped(exchange.vendor ?? vendorOfPath(plane, exchange), refusal, plane.log);
  const headers = ["content-type", contentType, "x-keybrake-code", refusal.code];
  if (refusal.code === "cap_exhausted") headers.push("x-keybrake-cap-hit", "true");
  if (!refusal.retry) headers.push("stripe-should-retry", "false", "x-should-retry", "false");
  const seconds = retryAfter(plane, refusal);
  if (seconds !== null) headers.push("retry-after", String(seconds));
  answerText(plane, exchange, refusal.status, headers, body);
}

/** An error that nobody foresaw, before anything was sent. Its text goes to the log only. */
export function asRefusal(error: unknown, log: Logger): Refusal {
  if (error instanceof Refusal) return error;
  log.error({ err: error }, "a call failed inside the proxy");
  return new Refusal("ledger_unavailable", "the proxy failed on this call before it was sent; its log says why");
}

function shaped(vendor: Vendor | null, refusal: Refusal, log: Logger): ErrorBody {
  try {
    return vendor ? vendor.errorBody(refusal) : plainBody(refusal);
  } catch (error) {
    log.error({ err: error, vendor: vendor?.id }, "a refusal could not be put in the vendor's shape");
    return plainBody(refusal);
  }
}

function record(plane: DataPlane, exchange: Exchange, refusal: Refusal): void {
  const { key, operation, vendor, request } = exchange;
  if (!key || exchange.reserved || refusal.recorded || refusal.code === "ledger_unavailable") return;
  const callId = plane.ledger.refused(key.keyId, {
    code: refusal.code,
    vendor: vendor?.id ?? "",
    endpoint: operation?.endpoint ?? "",
    method: operation?.method ?? request.method ?? "",
    path: operation?.path ?? "",
    task: exchange.task,
    attempt: exchange.attempt,
  });
  exchange.callId ??= callId;
}

/** Without a key the path alone tells whose SDK is asking. It decides the error's shape and nothing else. */
function vendorOfPath(plane: DataPlane, exchange: Exchange): Vendor | null {
  const segments = (exchange.request.url ?? "").split("?", 1)[0]!.split("/").slice(1);
  const mounted = plane.vendors.get(segments[0] ?? "");
  if (mounted) return mounted;
  for (const vendor of plane.vendors.values()) if (vendor.ownsPath(segments)) return vendor;
  return null;
}

function retryAfter(plane: DataPlane, refusal: Refusal): number | null {
  switch (refusal.code) {
    case "in_progress":
    case "overloaded":
    case "ledger_unavailable":
      return 1;
    case "rate_exhausted":
      return 60 - (Math.floor(plane.clock.now() / 1000) % 60);
    default:
      return null;
  }
}
