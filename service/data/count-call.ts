import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";

/** One figure per request, beside its log line. */
export function countCall({ metrics, clock }: DataPlane, exchange: Exchange): void {
  metrics?.ended({
    vendor: exchange.vendor?.id ?? "",
    endpoint: exchange.operation?.endpoint ?? "",
    state: exchange.replayed ? "repeated" : exchange.pending ? "pending" : (exchange.state ?? ""),
    code: exchange.code,
    ms: clock.now() - exchange.startedAt,
  });
}
