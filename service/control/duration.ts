/** Lifetimes as people write them: `90s`, `5m`, `2h`, `30d`. */
import { z } from "zod";

const unitsMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Longest lifetime of a vault key, ms: 30 days. */
export const MAX_LIFETIME_MS = 30 * unitsMs.d;

export const DAY_MS = unitsMs.d;

/** @returns milliseconds, or `null` when the text is not a lifetime from one second to 30 days. */
export function parseLifetime(text: string): number | null {
  const match = /^([1-9]\d{0,6})([smhd])$/.exec(text);
  if (!match) return null;
  const ms = Number(match[1]) * unitsMs[match[2] as keyof typeof unitsMs];
  return ms <= MAX_LIFETIME_MS ? ms : null;
}

const lifetimeSentence = 'must be a lifetime up to 30 days: "90s", "5m", "2h", "30d"';

/** A lifetime → milliseconds. */
export const lifetimeText = z
  .string({ error: lifetimeSentence })
  .transform((text, context) => {
    const ms = parseLifetime(text);
    if (ms !== null) return ms;
    context.addIssue({ code: "custom", message: lifetimeSentence });
    return z.NEVER;
  })
  .meta({ description: 'Lifetime up to 30 days: "90s", "5m", "2h", "30d".' });
