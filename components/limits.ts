/** Bounds of single calls as props have them → as policies have them. */
import type { JobLimits } from "./budget-args";
import { whole } from "./check-proxy";
import type { Faults } from "./faults";
import { map, optional } from "./inputs";
import { priceText } from "./service-rules";

const counts = [
  ["callsPerMinute", 1_000_000],
  ["maxCalls", 1_000_000_000],
  ["concurrency", 10_000],
] as const;
const prices = ["perCallUsd", "assumeUsd"] as const;

export function policyLimits(faults: Faults, limits: JobLimits): object {
  for (const [name, most] of counts) {
    const limit = limits[name];
    if (limit === undefined) continue;
    faults.check(`budget.limits.${name}`, limit, (value) =>
      whole(value, 1, most) ? null : { wrong: `which is not 1 to ${most}`, valid: "100" },
    );
  }
  for (const name of prices) {
    const price = limits[name];
    if (price === undefined) continue;
    const wrong = "which is not an amount of US dollars down to a millionth";
    faults.check(`budget.limits.${name}`, price, (value) =>
      priceText(value) === null ? { wrong, valid: "40 or 0.0083" } : null,
    );
  }
  return {
    per_call_usd: optional(limits.perCallUsd, (usd) => map(usd, (value) => priceText(value) ?? "0")),
    calls_per_minute: limits.callsPerMinute,
    max_calls: limits.maxCalls,
    concurrency: limits.concurrency,
    assume_usd: optional(limits.assumeUsd, (usd) => map(usd, (value) => priceText(value) ?? "0")),
  };
}
