/**
 * Money is integer micro-USD (1 USD = 1,000,000). Names of such values end in `Micros`.
 * Integers up to 2^53 − 1 are exact: about 9 billion dollars.
 */

export const MICROS_PER_USD = 1_000_000;
export const MICROS_PER_CENT = 10_000;

/** The largest sum of dollars that a cap may name: far below 2^53 micro-USD, so that no sum of a ledger can overflow. */
export const MAX_USD = 100_000_000;

/**
 * Parses dollars as a JSON number or a decimal string down to whole cents (`500`, `"500.00"`, `0.5`).
 * @returns micro-USD, or `null` when it is not a number of dollars, is negative, has parts of a cent or is over {@link MAX_USD}.
 */
export function parseUsd(value: unknown): number | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  const match = /^(\d{1,9})(?:\.(\d{1,2}))?$/.exec(String(value));
  if (!match) return null;
  const cents = Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
  return cents <= MAX_USD * 100 ? cents * MICROS_PER_CENT : null;
}

/** Micro-USD as a decimal string of dollars: at least two decimals, more only where they are not zero (`4000000` → `"4.00"`, `900` → `"0.0009"`). */
export function formatUsd(micros: number): string {
  const sign = micros < 0 ? "-" : "";
  const abs = Math.abs(micros);
  const fraction = String(abs % MICROS_PER_USD)
    .padStart(6, "0")
    .replace(/0{1,4}$/, "");
  return `${sign}${Math.floor(abs / MICROS_PER_USD)}.${fraction}`;
}
