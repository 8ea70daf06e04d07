/** The run as the proxy's ledger has it, read through the control plane. */
import { setTimeout as delay } from "node:timers/promises";
import type { DemoProxy } from "./proxy.ts";

export interface KeySums {
  capMicros: number;
  spentMicros: number;
  reservedMicros: number;
  /** Refusals by code. */
  refusals: Record<string, number>;
}

export interface Row {
  callId: string;
  vendor: string;
  state: string;
  /** The vendor's object that the call made. */
  objectId: string | null;
  amountMinor: number | null;
  costMicros: number;
  quoteMicros: number;
  createdAt: number;
}

export interface LedgerBooks {
  /** Keys that carry the run's label. */
  keys: number;
  sums: KeySums;
  /** Calls of the label, but for refused ones. */
  calls: Row[];
  refused: number;
}

const QUIET_TIMEOUT_MS = 15_000;

export async function readSums(proxy: DemoProxy, keyId: string): Promise<KeySums> {
  const key = await proxy.admin("GET", `/vault/keys/${keyId}`);
  return {
    capMicros: Number(key.cap_micros),
    spentMicros: Number(key.spent_micros),
    reservedMicros: Number(key.reserved_micros),
    refusals: (key.refusals ?? {}) as Record<string, number>,
  };
}

/** Waits until no call of the key is open: a killed task's call goes on without it. */
async function whenQuiet(proxy: DemoProxy, keyId: string): Promise<KeySums> {
  const deadline = Date.now() + QUIET_TIMEOUT_MS;
  let before = "";
  for (;;) {
    const sums = await readSums(proxy, keyId);
    // Refusals are counted without making the client wait: two equal readings say that the last ones have arrived.
    const now = JSON.stringify(sums);
    if ((sums.reservedMicros === 0 && now === before) || Date.now() > deadline) return sums;
    before = now;
    await delay(250);
  }
}

export async function readLedger(proxy: DemoProxy, keyId: string, label: string): Promise<LedgerBooks> {
  const sums = await whenQuiet(proxy, keyId);
  const keys = (await proxy.admin("GET", `/vault/keys?label=${label}`)).keys as unknown[];
  const calls: Row[] = [];
  let cursor: string | null = null;
  do {
    const page: Record<string, unknown> = await proxy.admin(
      "GET",
      `/audit?label=${label}&limit=200${cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    for (const row of page.calls as Record<string, unknown>[]) {
      if (row.state !== "refused") calls.push(toRow(row));
    }
    cursor = (page.next_cursor as string | null) ?? null;
  } while (cursor !== null);
  const refused = Object.values(sums.refusals).reduce((sum, count) => sum + count, 0);
  return { keys: keys.length, sums, calls, refused };
}

function toRow(row: Record<string, unknown>): Row {
  return {
    callId: String(row.call_id),
    vendor: String(row.vendor),
    state: String(row.state),
    objectId: typeof row.object_id === "string" ? row.object_id : null,
    amountMinor: typeof row.amount_minor === "number" ? row.amount_minor : null,
    costMicros: Number(row.cost_micros ?? 0),
    quoteMicros: Number(row.quote_micros ?? 0),
    createdAt: Date.parse(String(row.created_at)),
  };
}
