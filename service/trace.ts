/**
 * Which trace a request belongs to, in Cloud Logging's fields, so that its lines are found beside Cloud Run's own of the request
 * (https://cloud.google.com/trace/docs/trace-log-integration, read 2026-11). What is not of the exact shape is left aside.
 */

export interface TraceHeaders {
  /** W3C: https://www.w3.org/TR/trace-context/#traceparent-header */
  traceparent: string | undefined;
  /** Google's older one: `TRACE_ID/SPAN_ID;o=OPTIONS`, the span in decimal (https://cloud.google.com/trace/docs/trace-context, read 2026-11). */
  cloudTrace: string | undefined;
}

export interface TraceFields {
  "logging.googleapis.com/trace"?: string;
  "logging.googleapis.com/spanId"?: string;
  "logging.googleapis.com/trace_sampled"?: boolean;
}

const traceparentShape = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})$/;
const cloudTraceShape = /^(?!0{32})([0-9a-f]{32})(?:\/(\d{1,20}))?(?:;o=(\d))?$/;

/** @param project Google Cloud project of the traces; `null`: the bare id is given. `traceparent` goes first. */
export function traceFields({ traceparent, cloudTrace }: TraceHeaders, project: string | null): TraceFields {
  const w3c = traceparent === undefined ? null : traceparentShape.exec(traceparent);
  if (w3c) return fields(project, w3c[1]!, w3c[2]!, (Number.parseInt(w3c[3]!, 16) & 1) === 1);
  const google = cloudTrace === undefined ? null : cloudTraceShape.exec(cloudTrace);
  if (google) return fields(project, google[1]!, spanOf(google[2]), google[3] === "1");
  return {};
}

function fields(project: string | null, trace: string, span: string | null, sampled: boolean): TraceFields {
  return {
    "logging.googleapis.com/trace": project === null ? trace : `projects/${project}/traces/${trace}`,
    ...(span !== null && { "logging.googleapis.com/spanId": span }),
    ...(sampled && { "logging.googleapis.com/trace_sampled": true }),
  };
}

/** Cloud Logging takes the span as 16 hexadecimal digits. */
function spanOf(decimal: string | undefined): string | null {
  const span = BigInt(decimal ?? "0");
  return span > 0n && span < 1n << 64n ? span.toString(16).padStart(16, "0") : null;
}
