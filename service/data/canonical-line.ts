/**
 * One log line per call, in Cloud Logging's fields (https://cloud.google.com/logging/docs/structured-logging, read 2026-11).
 * The list of fields is closed; what a user wrote appears as a value only, and no key, secret, body or query at all.
 * There is no `httpRequest`: Cloud Run writes a line with it for every request, which this one is joined to by the trace.
 */
import { traceFields } from "../trace.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";

export function logCall(plane: DataPlane, exchange: Exchange): void {
  const { headers, key, operation, vendor, quote } = exchange;
  const trace = traceFields(
    { traceparent: headers?.traceparent, cloudTrace: headers?.["x-cloud-trace-context"] },
    plane.traceProject,
  );
  const line = {
    ...trace,
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
