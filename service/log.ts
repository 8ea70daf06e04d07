import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";

export type { Logger } from "pino";

/** Cloud Logging's names for pino's levels (https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry#logseverity, read 2026-11). */
const severities: Record<string, string> = {
  trace: "DEBUG",
  debug: "DEBUG",
  info: "INFO",
  warn: "WARNING",
  error: "ERROR",
  fatal: "CRITICAL",
};

/** An error and what caused it; deeper causes are left out. */
const MAX_CAUSES = 4;
const MAX_STACK_CHARS = 8 << 10;

/** One JSON line per event, in Cloud Logging's structured fields. An error goes under `err`. */
export function createLogger(destination: DestinationStream, level = "info"): Logger {
  return pino(
    {
      level,
      base: null,
      messageKey: "message",
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ severity: severities[label] ?? "DEFAULT" }), log: withStackTrace },
      serializers: { err: shown },
    },
    destination,
  );
}

/** Error Reporting groups by `stack_trace` (https://cloud.google.com/error-reporting/docs/formatting-error-messages, read 2026-11). */
function withStackTrace(line: Record<string, unknown>): Record<string, unknown> {
  return line.err instanceof Error ? { ...line, stack_trace: stackOf(line.err) } : line;
}

function stackOf(error: Error): string {
  const stacks: string[] = [];
  let each: unknown = error;
  while (each instanceof Error && stacks.length < MAX_CAUSES) {
    stacks.push(each.stack ?? `${each.name}: ${each.message}`);
    each = each.cause;
  }
  return stacks.join("\nCaused by: ").slice(0, MAX_STACK_CHARS);
}

/** A closed list of fields: what else a library hangs on its errors may hold a request's headers, and a token in them. */
function shown(error: unknown): unknown {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...((typeof code === "string" || typeof code === "number") && { code }),
  };
}
