/** Dollars in the control plane's JSON: in as a number or decimal string, out as a decimal string beside micro-USD. */
import { z } from "zod";
import { formatUsd, MAX_USD, MICROS_PER_USD, parseUsd } from "../money.ts";

/** As {@link parseUsd}, down to a micro-dollar: for prices, which may be parts of a cent (one text costs $0.0083). */
function parsePrice(value: unknown): number | null {
  if (typeof value !== "string" && typeof value !== "number") return null;
  const match = /^(\d{1,9})(?:\.(\d{1,6}))?$/.exec(String(value));
  if (!match) return null;
  const micros = Number(match[1]) * MICROS_PER_USD + Number((match[2] ?? "").padEnd(6, "0"));
  return micros <= MAX_USD * MICROS_PER_USD ? micros : null;
}

function dollars(parse: (value: unknown) => number | null, sentence: string) {
  return z
    .union([z.number(), z.string()], { error: sentence })
    .transform((value, context) => {
      const micros = parse(value);
      if (micros !== null) return micros;
      context.addIssue({ code: "custom", message: sentence });
      return z.NEVER;
    })
    .meta({ description: sentence.replace(/^must be d/, "D") });
}

/** A cap in whole cents → micro-USD. Parts of a cent are refused, never rounded. */
export const capUsd = dollars(
  parseUsd,
  `must be dollars down to whole cents, up to ${MAX_USD}, as a number or a decimal string: 500 or "500.00"`,
);

/** A price or cost → micro-USD. */
export const priceUsd = dollars(
  parsePrice,
  `must be dollars down to a millionth, up to ${MAX_USD}, as a number or a decimal string: 40 or "0.0083"`,
);

/** `{name_usd, name_micros}`. */
export function money<Name extends string>(name: Name, micros: number) {
  return { [`${name}_usd`]: formatUsd(micros), [`${name}_micros`]: micros } as Record<`${Name}_usd`, string> &
    Record<`${Name}_micros`, number>;
}

/** As {@link money}; both are `null` when there is no such sum. */
export function moneyOrNull<Name extends string>(name: Name, micros: number | null) {
  return { [`${name}_usd`]: micros === null ? null : formatUsd(micros), [`${name}_micros`]: micros } as Record<
    `${Name}_usd`,
    string | null
  > &
    Record<`${Name}_micros`, number | null>;
}
