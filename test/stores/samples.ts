/** Documents for the store tests: valid in shape, with no meaning, since a store knows no money. */
import type { Call, ChainPage, KeyState } from "../../service/ledger/types.ts";
import type { Commit, Store, Version, Write } from "../../service/stores/store.ts";

export const START = Date.UTC(2026, 10, 22, 6);

export function sampleKey(keyId: string, over: Partial<KeyState> = {}): KeyState {
  return {
    keyId,
    owner: "admin",
    label: `label-of-${keyId}`,
    execution: null,
    asked: '{"usd_cap":500}',
    scope: {
      vendors: ["stripe"],
      allowedEndpoints: ["POST /v1/payment_intents"],
      accounts: [],
      perCallMicros: null,
      callsPerMinute: null,
      maxCalls: null,
      concurrency: 256,
      assumeMicros: null,
    },
    pepperVersion: 1,
    capMicros: 500_000_000,
    spentMicros: 0,
    reservedMicros: 0,
    dailyCapMicros: null,
    windowId: "2026-11-22",
    windowSpentMicros: 0,
    status: "active",
    reason: null,
    createdAt: START,
    expiresAt: START + 7_200_000,
    salt: "00".repeat(16),
    counts: { calls: 0, reserved: 0, settled: 0, released: 0, unknown: 0 },
    minuteId: 0,
    minuteCalls: 0,
    refusals: {},
    refusalRows: 0,
    chainHead: "0".repeat(64),
    chainLength: 0,
    sequence: 0,
    token: "t0",
    updatedAt: START,
    ...over,
  };
}

export function sampleCall(id: string, over: Partial<Call> = {}): Call {
  return {
    id,
    keyId: "k1",
    owner: "admin",
    label: "label-of-k1",
    execution: null,
    state: "reserved",
    code: null,
    vendor: "stripe",
    endpoint: "POST /v1/payment_intents",
    method: "POST",
    path: "/v1/payment_intents",
    quoteMicros: 40_000_000,
    reservedMicros: 40_000_000,
    costMicros: 0,
    pricePending: false,
    currency: "usd",
    amountMinor: 4_000,
    objectId: null,
    status: null,
    task: 1,
    attempt: 0,
    identity: "task",
    consumedBy: [{ attempt: 0, key: "ab".repeat(16) }],
    requestHash: "cd".repeat(32),
    generation: 0,
    sends: 1,
    doubt: false,
    idempotent: true,
    firstSentAt: START,
    leaseUntil: START + 90_000,
    lookup: null,
    chain: [1],
    token: "t0",
    createdAt: START,
    updatedAt: START,
    settledAt: null,
    ...over,
  };
}

export function samplePage(keyId: string, first: number, records: number): ChainPage {
  return {
    keyId,
    first,
    token: `t${first}`,
    records: Array.from({ length: records }, (_, index) => ({
      n: first + index,
      at: START,
      act: "reserve" as const,
      callId: `call-${first + index}`,
      reservedMicros: 40_000_000,
      spentMicros: 0,
      capMicros: null,
      by: null,
      reason: null,
      hash: "ef".repeat(32),
    })),
  };
}

export function create(call: Call): Write {
  return { op: "create", id: `c:${call.id}`, doc: call };
}

export function put(call: Call): Write {
  return { op: "put", id: `c:${call.id}`, doc: call };
}

/** One key of a store, moved from version to version by the only one who writes it. */
export class KeyWriter {
  version: Version | null = null;
  state: KeyState;
  readonly #store: Store;

  constructor(store: Store, keyId: string, over: Partial<KeyState> = {}) {
    this.#store = store;
    this.state = sampleKey(keyId, over);
  }

  next(writes: Write[], page: ChainPage | null = null): Commit {
    return { version: this.version, state: { ...this.state, sequence: this.state.sequence + 1 }, page, writes };
  }

  /** Throws when the commit does not apply. @returns the store's time. */
  async write(writes: Write[] = [], page: ChainPage | null = null): Promise<number> {
    const commit = this.next(writes, page);
    const result = await this.#store.commit(this.state.keyId, commit);
    if (result.kind !== "committed") throw new Error(`expected a commit, got ${JSON.stringify(result)}`);
    this.version = result.version;
    this.state = commit.state;
    return result.time;
  }
}
