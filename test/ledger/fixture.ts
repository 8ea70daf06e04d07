/** What the ledger's tests share: a clock that only tests move, seeded randomness, and requests with every field filled in. */
import { setImmediate } from "node:timers/promises";
import type { Clock, Random } from "../../service/clock.ts";
import { type Code, Refusal } from "../../service/errors.ts";
import type { IssueRequest, Ledger, Outcome, Reservation, ReserveRequest } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { KeyState } from "../../service/ledger/types.ts";
import { createLogger } from "../../service/log.ts";
import { type FaultPlan, seededFloat } from "../../service/stores/faults.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { Store } from "../../service/stores/store.ts";

export const NOON = Date.UTC(2026, 10, 22, 12);
export const SECOND = 1_000;
export const MINUTE = 60_000;
export const HOUR = 3_600_000;
export const DAY = 24 * HOUR;
export const LEASE = 100 * SECOND;

/** Time stands still unless a test moves it; a delay is one turn of the event loop. */
export class ManualClock implements Clock {
  time: number;
  /** Set: a delay moves the time, so that deadlines end. */
  delaysMove = false;

  constructor(time = NOON) {
    this.time = time;
  }

  now(): number {
    return this.time;
  }

  async delay(ms: number): Promise<void> {
    if (this.delaysMove) this.time += ms;
    await setImmediate();
  }
}

export function seededRandom(seed: number): Random {
  const float = seededFloat(seed);
  return { float, bytes: (length) => Buffer.from(Array.from({ length }, () => Math.floor(float() * 256))) };
}

export const quiet = createLogger({ write: () => {} }, "silent");

export interface World {
  clock: ManualClock;
  store: MemoryStore;
  /** Each is a proxy instance of its own on the one store. */
  ledgers: Ledger[];
  ledger: Ledger;
}

export interface WorldOptions {
  instances?: number;
  seed?: number;
  faults?: Omit<FaultPlan, "seed">;
  exclusive?: boolean;
}

export function makeWorld({ instances = 1, seed = 1, faults, exclusive = false }: WorldOptions = {}): World {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, exclusive, ...(faults ? { faults: { seed, ...faults } } : {}) });
  const ledgers = Array.from({ length: instances }, (_, i) => ledgerOn(store, clock, seed * 100 + i));
  return { clock, store, ledgers, ledger: ledgers[0]! };
}

export function ledgerOn(store: Store, clock: Clock, seed: number): Ledger {
  return openLedger({ store, clock, random: seededRandom(seed), log: quiet });
}

/** A budget of $100 for a day, without limits. */
export function budget(over: Partial<Omit<IssueRequest, "scope">> & { scope?: Partial<IssueRequest["scope"]> } = {}) {
  const request: IssueRequest = {
    owner: "admin",
    label: "nightly",
    execution: null,
    asked: "asked",
    capMicros: 100_000_000,
    dailyCapMicros: null,
    expiresAt: NOON + DAY,
    pepperVersion: 1,
    by: "admin",
    ...over,
    scope: {
      vendors: ["stripe"],
      allowedEndpoints: ["*"],
      accounts: [],
      perCallMicros: null,
      callsPerMinute: null,
      maxCalls: null,
      concurrency: 100_000,
      assumeMicros: null,
      ...over.scope,
    },
  };
  return request;
}

export async function issued(ledger: Ledger, over: Parameters<typeof budget>[0] = {}): Promise<KeyState> {
  return (await ledger.issue(budget(over))).key;
}

/** A call of $1 that nothing tells apart from its equals. */
export function ask(over: Partial<ReserveRequest> = {}): ReserveRequest {
  return {
    vendor: "stripe",
    endpoint: "POST /v1/payment_intents",
    method: "POST",
    path: "/v1/payment_intents",
    canonical: "charge one dollar",
    shield: true,
    quoteMicros: 1_000_000,
    object: null,
    currency: "usd",
    amountMinor: 100,
    clientKey: null,
    dedupe: null,
    task: null,
    attempt: null,
    idempotent: true,
    idempotencyLifeMs: 23 * HOUR,
    leaseMs: LEASE,
    lookup: null,
    ...over,
  };
}

export const ownKey = (value: string) => ({ value, madeBy: "client" }) as const;
export const maybeKey = (value: string) => ({ value, madeBy: "maybe" }) as const;
export const sdkKey = (value: string) => ({ value, madeBy: "sdk" }) as const;

export function paid(micros: number, over: Partial<Extract<Outcome, { kind: "settle" }>> = {}): Outcome {
  return {
    kind: "settle",
    status: 200,
    micros,
    pricePending: false,
    currency: null,
    amountMinor: null,
    objectId: null,
    object: null,
    receipt: null,
    ...over,
  };
}

export const declined: Outcome = { kind: "release", status: 402, code: "vendor_refused" };
export const timedOut: Outcome = { kind: "unknown", status: null, code: "timeout" };
export const failed500: Outcome = { kind: "unknown", status: 500, code: "vendor_failed" };

export type Forward = Extract<Reservation, { kind: "forward" }>;

/** Reserves what must be sent. */
export async function forward(ledger: Ledger, keyId: string, request: ReserveRequest): Promise<Forward> {
  const reservation = await ledger.reserve(keyId, request);
  if (reservation.kind !== "forward") throw new Error(`expected a send, was answered from ${reservation.call.id}`);
  return reservation;
}

/** Reserves, sends, and ends the send with `outcome`. */
export async function send(ledger: Ledger, keyId: string, request: ReserveRequest, outcome: Outcome) {
  const sent = await forward(ledger, keyId, request);
  return { ...sent, call: await ledger.finish(keyId, sent.call.id, sent.send, outcome) };
}

/** The code with which a promise was refused; `null` when it was not. */
export async function codeOf(promise: Promise<unknown>): Promise<Code | null> {
  try {
    await promise;
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
