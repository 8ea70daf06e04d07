/** Checks of what was typed; each failure is wrong usage and says what a right value looks like. */
import { InvalidArgumentError } from "commander";
import { parseUsd } from "../money.ts";
import { UsageFailure } from "./failure.ts";

export function collect(value: string, earlier: string[] | undefined): string[] {
  return [...(earlier ?? []), value];
}

/** Dollars as typed: the text is what is sent, so that no float touches it. */
export function usd(value: string): string {
  if (parseUsd(value) === null)
    throw new InvalidArgumentError("Give dollars with at most two decimals, for example 500 or 0.50.");
  return value;
}

/** A vendor's price, which may be parts of a cent: one text costs $0.0083. */
export function price(value: string): string {
  if (!/^\d{1,9}(\.\d{1,6})?$/.test(value))
    throw new InvalidArgumentError("Give dollars with at most six decimals, for example 40 or 0.0083.");
  return value;
}

export function count(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError("Give a whole number from 1.");
  return Number(value);
}

export function taskIndex(value: string): number {
  if (!/^\d{1,6}$/.test(value)) throw new InvalidArgumentError("Give a task's index: a whole number from 0.");
  return Number(value);
}

export function keyId(value: string): string {
  // Not an InvalidArgumentError: commander would repeat the value, and this one is secret.
  if (value.startsWith("vk_"))
    throw new UsageFailure("that is a vault key's text, which is secret: give its key_id, the part after `vk_1_`");
  if (!/^[a-z2-7]{26}$/.test(value))
    throw new InvalidArgumentError("Give a key_id of 26 letters and digits, as `keybrake keys list` shows it.");
  return value;
}

export function callId(value: string): string {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(value))
    throw new InvalidArgumentError("Give a call_id as `keybrake audit` shows it.");
  return value;
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `2h`, `30m`, `7d` ago, or a date or time of ISO 8601 (UTC when it names no zone). @returns ISO 8601 in UTC. */
export function instant(value: string, now: number, option: string): string {
  const ago = /^(\d{1,6})([smhd])$/.exec(value);
  if (ago) return new Date(now - Number(ago[1]) * unitMs[ago[2] as keyof typeof unitMs]).toISOString();
  const iso = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/.exec(value);
  const time = iso ? Date.parse(value.includes("T") && !iso[1] ? `${value}Z` : value) : Number.NaN;
  if (Number.isNaN(time))
    throw new UsageFailure(
      `\`${option} ${value}\` is no time: give for example 2h, 7d, 2026-11-22 or 2026-11-22T18:30:00Z`,
    );
  return new Date(time).toISOString();
}
