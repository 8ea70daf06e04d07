/**
 * The figures by OpenTelemetry, sent as OTLP over HTTP to a collector. This module is loaded when an endpoint is set and not
 * before. Headers, time-outs and temporality are OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_HEADERS, …).
 *
 * Every series is a sum over what this process did since its start: a call that one instance reserves and another one settles
 * is +1 here and −1 there, so a proxy's figure is the sum over its instances.
 */
import { type DiagLogger, DiagLogLevel, diag, type Meter, ValueType } from "@opentelemetry/api";
import { OTLPMetricExporter } from "@opentelemetry/exporter-metrics-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider, PeriodicExportingMetricReader } from "@opentelemetry/sdk-metrics";
import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { EndedCall, LandedCommit, Metrics } from "./metrics.ts";

export interface OtlpOptions {
  /** Where `POST` takes metrics, as in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT. */
  url: string;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Default: a minute. */
  everyMs?: number;
}

export interface ExportedMetrics extends Metrics {
  /** Sends what is left, for at most `ms`. Never rejects. */
  close(ms: number): Promise<void>;
}

const EVERY_MS = 60_000;
/** One export, its repeats included. */
const EXPORT_MS = 10_000;
/** Series of one instrument; what is beyond is counted under `otel.metric.overflow`. */
const MAX_SERIES = 1_000;
/** A collector that is down is said once in this time, ms. */
const COMPLAIN_MS = 10 * 60_000;

const LATENCY_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 80_000];
const BATCH_CALLS = [1, 2, 5, 10, 20, 50, 100, 200];

export function openOtlpMetrics({ url, clock, random, log, everyMs = EVERY_MS }: OtlpOptions): ExportedMetrics {
  diag.setLogger(complaints(log, clock), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const exporter = new OTLPMetricExporter({ url, timeoutMillis: Math.min(EXPORT_MS, everyMs), concurrencyLimit: 1 });
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: everyMs,
    exportTimeoutMillis: Math.min(EXPORT_MS, everyMs),
    cardinalityLimits: { default: MAX_SERIES },
  });
  const provider = new MeterProvider({
    readers: [reader],
    // Instances of one service must not be taken for one another: their sums would jump to and fro.
    resource: resourceFromAttributes({
      "service.name": "keybrake",
      "service.instance.id": random.bytes(16).toString("hex"),
    }),
  });
  const counts = instruments(provider.getMeter("keybrake"));
  return {
    ...counts,
    close: async (ms) => {
      const late = new AbortController();
      const ignore = (): void => {};
      await Promise.race([provider.shutdown().catch(ignore), clock.delay(ms, late.signal).catch(ignore)]);
      late.abort();
    },
  };
}

function instruments(meter: Meter): Metrics {
  const sum = (unit: string, description: string) => ({ unit, description, valueType: ValueType.INT });
  const histogram = (unit: string, description: string, explicitBucketBoundaries: number[]) => ({
    ...sum(unit, description),
    advice: { explicitBucketBoundaries },
  });
  const calls = meter.createCounter("keybrake.calls", sum("{call}", "Requests of the data plane by their end."));
  const refusals = meter.createCounter("keybrake.refusals", sum("{call}", "Refusals answered, by code."));
  const duration = meter.createHistogram("keybrake.call.duration", histogram("ms", "Request to answer.", LATENCY_MS));
  const reserved = meter.createUpDownCounter("keybrake.reserved_micros", sum("{uUSD}", "Held by open calls."));
  const unknown = meter.createUpDownCounter("keybrake.unknown_micros", sum("{uUSD}", "Held by unknown calls."));
  const spent = meter.createCounter("keybrake.spent_micros", sum("{uUSD}", "Settled, and adjusted upwards."));
  const returned = meter.createCounter("keybrake.returned_micros", sum("{uUSD}", "Adjusted downwards."));
  const commit = meter.createHistogram("keybrake.commit.duration", histogram("ms", "One commit.", LATENCY_MS));
  const batch = meter.createHistogram("keybrake.commit.calls", histogram("{call}", "Sharing a commit.", BATCH_CALLS));
  const repeats = meter.createCounter("keybrake.commit.repeats", sum("{commit}", "Commits made again, by reason."));
  const failures = meter.createCounter("keybrake.commit.failures", sum("{commit}", "Commits given up."));
  return {
    ended: ({ vendor, endpoint, state, code, ms }: EndedCall) => {
      calls.add(1, { vendor, endpoint, state });
      if (code !== null) refusals.add(1, { vendor, code });
      duration.record(ms, { vendor });
    },
    committed: ({ calls: size, ms, moves }: LandedCommit) => {
      commit.record(ms);
      batch.record(size);
      for (const { vendor, endpoint, reservedMicros, unknownMicros, spentMicros } of moves) {
        const of = { vendor, endpoint };
        if (reservedMicros !== 0) reserved.add(reservedMicros, of);
        if (unknownMicros !== 0) unknown.add(unknownMicros, of);
        if (spentMicros > 0) spent.add(spentMicros, of);
        if (spentMicros < 0) returned.add(-spentMicros, of);
      }
    },
    repeated: (reason) => repeats.add(1, { reason }),
    uncommitted: () => failures.add(1),
  };
}

/** OpenTelemetry's own complaints, seldom and short: they may hold what a collector answered. */
function complaints(log: Logger, clock: Clock): DiagLogger {
  let lastAt = Number.NEGATIVE_INFINITY;
  const complain = (): void => {
    const now = clock.now();
    if (now - lastAt < COMPLAIN_MS) return;
    lastAt = now;
    log.warn("metrics could not be sent; OTEL_EXPORTER_OTLP_ENDPOINT says where they go");
  };
  const silent = (): void => {};
  return { error: complain, warn: complain, info: silent, debug: silent, verbose: silent };
}
