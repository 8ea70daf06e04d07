/**
 * One log line per call, in Cloud Logging's fields (https://cloud.google.com/logging/docs/structured-logging, read 2026-11).
 * The list of fields is closed; what a user wrote appears as a value only, and no key, secret, body or query at all.
 */
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";

export function logCall(plane: DataPlane, exchange: Exchange): void {
  const { key, operation, vendor, quote } = exchange;
  const line = {
    ...traceOf(plane, exchange),
    "logging.googleapis.com/labels": {
      key_id: key?.keyId,
      label: key?.label,
      execution: key?.execution ?? undefined,
      vendor: vendor?.id,
    },
    call_id: exchange.callId,
    endpoint: operation?.endpoint,
    code: exchange.code,
    status: exchange.status,
    vendor_status: exchange.vendorStatus,
    state: exchange.pending ? "pending" : exchange.state,
    replayed: exchange.replayed || undefined,
    quote_micros: quote?.micros,
    cost_micros: exchange.costMicros,
    task: exchange.task,
    attempt: exchange.attempt,
    duration_ms: plane.clock.now() - exchange.startedAt,
  };
  if (exchange.status >= 500 || exchange.state === "unknown" || exchange.pending) plane.log.warn(line, "call");
  else plane.log.info(line, "call");
}

const traceparent = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}$/;
const cloudTrace = /^([0-9a-f]{32})(?:\/\d{1,20})?(?:;o=\d)?$/;

/** From `traceparent` (W3C), else from Google's older header. */
function traceOf(plane: DataPlane, exchange: Exchange): Record<string, string> {
  const { headers } = exchange;
  const parent = headers?.traceparent === undefined ? null : traceparent.exec(headers.traceparent);
  const google = headers?.["x-cloud-trace-context"];
  const trace = parent?.[1] ?? (google === undefined ? undefined : cloudTrace.exec(google)?.[1]);
  if (trace === undefined) return {};
  const { traceProject } = plane;
  const name = traceProject === null ? trace : `projects/${traceProject}/traces/${trace}`;
  return parent
    ? { "logging.googleapis.com/trace": name, "logging.googleapis.com/spanId": parent[2]! }
    : { "logging.googleapis.com/trace": name };
}
