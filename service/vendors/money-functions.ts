/** Money for expressions: minor units and decimal text → micro-USD, always rounded up. */
import { z } from "zod";
import { Refusal } from "../errors.ts";

/** An operator's rate is used for this long after its date; then the currency is refused until a new one is given. */
export const RATE_MAX_AGE_DAYS = 7;
const DAY_MS = 86_400_000;
const MICROS = 1_000_000n;

const decimalText = z.union([
  z.string().regex(/^\d{1,9}(\.\d{1,12})?$/, 'write a number as text: "1.0842"'),
  z.number().positive().max(1e9),
]);

export const ratesSchema = z.record(
  z.string().regex(/^[a-z]{3}$/, "write the currency as three lower-case letters"),
  z.strictObject({
    usd_per_unit: decimalText.describe("Dollars for one unit of the currency"),
    date: z.iso.date(),
    haircut: z
      .number()
      .min(0)
      .max(0.5)
      .default(0.03)
      .describe("Share added on top, for what the rate may do until the bill"),
  }),
);

/** Dated rates by currency, as an operator writes them. */
export type Rates = z.input<typeof ratesSchema>;

interface Rate {
  numerator: bigint;
  denominator: bigint;
  staleAt: number;
  date: string;
}

export interface Money {
  /** Throws `currency_not_allowed`, `request_invalid`. */
  usd(minor: bigint | string, currency: string): bigint;
}

export function money(
  rates: Rates,
  currencies: { zeroDecimal: string[]; threeDecimal: string[] },
  now: () => number,
): Money {
  const table = new Map(Object.entries(ratesSchema.parse(rates)).map(([currency, rate]) => [currency, readRate(rate)]));
  const exponents = new Map<string, bigint>();
  for (const currency of currencies.zeroDecimal) exponents.set(currency, 1n);
  for (const currency of currencies.threeDecimal) exponents.set(currency, 1000n);
  return {
    usd(minor, currency) {
      const amount = amountOf(minor);
      const code = currency.toLowerCase();
      if (code === "usd") return amount * 10_000n;
      const rate = table.get(code);
      if (!rate)
        throw new Refusal("currency_not_allowed", `\`${code.slice(0, 10)}\` has no rate at this proxy; use usd`);
      if (now() >= rate.staleAt) {
        throw new Refusal("currency_not_allowed", `the rate of \`${code}\` is of ${rate.date}; give a newer one`);
      }
      return divideUp(amount * MICROS * rate.numerator, (exponents.get(code) ?? 100n) * rate.denominator);
    },
  };
}

/** Vendors count at most twelve digits; anything but digits (a sign, a point, an exponent) is refused. */
export function amountOf(value: bigint | string): bigint {
  if (!/^\d{1,12}$/.test(String(value))) {
    throw new Refusal(
      "request_invalid",
      `an amount is a whole number of at most 12 digits, not ${JSON.stringify(String(value).slice(0, 40))}`,
    );
  }
  return BigInt(value);
}

export function divideUp(value: bigint, by: bigint): bigint {
  if (by <= 0n) throw new Refusal("endpoint_unpriced", "a price divides by zero or less");
  return value <= 0n ? value / by : (value + by - 1n) / by;
}

/** Micro-USD of dollars written as a decimal (`0.0083`, `-0.00790`): the sign is dropped, parts of a micro-dollar round up. */
export function dollars(text: string): bigint {
  const match = /^-?(\d{1,9})(?:\.(\d{1,12}))?$/.exec(text);
  if (!match) throw new Refusal("endpoint_unpriced", `\`${text.slice(0, 40)}\` is not a sum of dollars`);
  const fraction = (match[2] ?? "").padEnd(12, "0");
  return divideUp(BigInt(`${match[1]}${fraction}`), 1_000_000n);
}

function readRate(rate: z.output<typeof ratesSchema>[string]): Rate {
  const [units, scale] = fraction(String(rate.usd_per_unit));
  const [share, shareScale] = fraction(String(rate.haircut));
  return {
    numerator: units * (shareScale + share),
    denominator: scale * shareScale,
    staleAt: Date.parse(rate.date) + (RATE_MAX_AGE_DAYS + 1) * DAY_MS,
    date: rate.date,
  };
}

function fraction(text: string): [bigint, bigint] {
  const match = /^(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new Error(`rates: write \`${text}\` as plain decimals`);
  const decimals = match[2] ?? "";
  return [BigInt(match[1]! + decimals), 10n ** BigInt(decimals.length)];
}
