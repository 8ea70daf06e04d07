/**
 * The arithmetic of one key: pure functions over its state. Nothing else in the service adds or takes money.
 */
import { Refusal } from "../errors.ts";
import { formatUsd } from "../money.ts";
import type { KeyState } from "./types.ts";

const MINUTE_MS = 60_000;
export const DAY_MS = 86_400_000;

/** UTC date of a time, `2026-11-22`: the window of a daily cap. */
export function windowOf(now: number): string {
  const day = Math.floor(now / DAY_MS);
  if (day !== lastWindow.day) lastWindow = { day, id: new Date(now).toISOString().slice(0, 10) };
  return lastWindow.id;
}
// Every change of a balance asks for the same day.
let lastWindow = { day: Number.NaN, id: "" };

/** Spent in the UTC day of `now`. */
export function windowSpent(state: KeyState, now: number): number {
  return state.windowId === windowOf(now) ? state.windowSpentMicros : 0;
}

/** What a new reservation may still take: the smaller of what the lifetime cap and the daily cap leave; never negative. */
export function available(state: KeyState, now: number): number {
  const lifetime =
    state.capMicros === null ? Number.MAX_SAFE_INTEGER : state.capMicros - state.spentMicros - state.reservedMicros;
  const daily =
    state.dailyCapMicros === null
      ? Number.MAX_SAFE_INTEGER
      : state.dailyCapMicros - windowSpent(state, now) - state.reservedMicros;
  return Math.max(0, Math.min(lifetime, daily));
}

/** Spent and reserved together are over the lifetime cap or the day's. */
export function overCap(state: KeyState, now: number): boolean {
  const { capMicros, dailyCapMicros, spentMicros, reservedMicros } = state;
  const overLifetime = capMicros !== null && spentMicros + reservedMicros > capMicros;
  return overLifetime || (dailyCapMicros !== null && windowSpent(state, now) + reservedMicros > dailyCapMicros);
}

/** Why the key takes no call at all now; `null` when it does. */
export function closed(state: KeyState, now: number): Refusal | null {
  if (state.status === "revoked") return new Refusal("key_revoked", "this vault key was revoked");
  if (now >= state.expiresAt) {
    return new Refusal("key_expired", `this vault key ended at ${new Date(state.expiresAt).toISOString()}`);
  }
  if (state.status === "paused") {
    return new Refusal(
      "key_paused",
      `this vault key is paused (${state.reason ?? "no reason given"}); an operator resumes it`,
    );
  }
  return null;
}

/** Why a new reservation of `needMicros` for a call quoted at `quoteMicros` is refused; `null` when it fits. */
export function refuses(state: KeyState, quoteMicros: number, needMicros: number, now: number): Refusal | null {
  const { perCallMicros, maxCalls, callsPerMinute, concurrency } = state.scope;
  if (perCallMicros !== null && quoteMicros > perCallMicros) {
    return new Refusal(
      "per_call_exceeded",
      `the call is priced at $${formatUsd(quoteMicros)}, over this key's limit of $${formatUsd(perCallMicros)} per call`,
    );
  }
  const free = available(state, now);
  if (needMicros > free) {
    return new Refusal(
      "cap_exhausted",
      `the call needs $${formatUsd(needMicros)}, and $${formatUsd(free)} of the cap is available`,
    );
  }
  if (state.counts.reserved >= concurrency) {
    return new Refusal("rate_exhausted", `${concurrency} calls of this key are in flight, its limit at one time`);
  }
  if (maxCalls !== null && state.counts.calls >= maxCalls) {
    return new Refusal("rate_exhausted", `this key has made its ${maxCalls} calls`);
  }
  if (callsPerMinute !== null && state.minuteId === minuteOf(now) && state.minuteCalls >= callsPerMinute) {
    return new Refusal("rate_exhausted", `this key has made its ${callsPerMinute} calls of this minute`);
  }
  return null;
}

const minuteOf = (now: number): number => Math.floor(now / MINUTE_MS);

/** Counts a call that will be sent for the first time in this generation. */
export function countCall(state: KeyState, now: number): void {
  state.counts.calls += 1;
  const minute = minuteOf(now);
  state.minuteCalls = state.minuteId === minute ? state.minuteCalls + 1 : 1;
  state.minuteId = minute;
}

/** Posts a change of the balance. Spend goes to the daily window of `now`, floored at 0. */
export function post(state: KeyState, change: { reservedMicros: number; spentMicros: number }, now: number): void {
  state.reservedMicros += change.reservedMicros;
  state.spentMicros += change.spentMicros;
  if (change.spentMicros !== 0) {
    state.windowSpentMicros = Math.max(0, windowSpent(state, now) + change.spentMicros);
    state.windowId = windowOf(now);
  }
}

/** Throws on a state that no correct ledger can reach: our bug, never the world's. */
export function assertSound(state: KeyState): void {
  const sums = [state.reservedMicros, state.spentMicros, state.windowSpentMicros];
  const counts = Object.values(state.counts);
  if (![...sums, ...counts].every((value) => Number.isSafeInteger(value) && value >= 0)) {
    throw new Error(`ledger invariant broken: ${JSON.stringify({ sums, counts: state.counts })}`);
  }
}
