/** Ledger documents as the control plane shows them: snake case, dollars beside micro-USD, times in ISO 8601. */
import type { z } from "zod";
import { available, windowSpent } from "../ledger/balance.ts";
import type { Call, ChainRecord, KeyState } from "../ledger/types.ts";
import { money, moneyOrNull } from "./dollars.ts";
import type { callShape, keyShape, recordShape } from "./schemas.ts";

const iso = (ms: number): string => new Date(ms).toISOString();

export function renderKey(key: KeyState, now: number): z.infer<typeof keyShape> {
  const { scope } = key;
  const ended = now >= key.expiresAt && key.status !== "revoked";
  return {
    key_id: key.keyId,
    label: key.label,
    execution: key.execution,
    owner: key.owner,
    status: ended ? "expired" : key.status,
    reason: key.reason,
    vendors: scope.vendors,
    allowed_endpoints: scope.allowedEndpoints,
    accounts: scope.accounts,
    reduced: key.reduced ?? [],
    limits: {
      ...moneyOrNull("per_call", scope.perCallMicros),
      calls_per_minute: scope.callsPerMinute,
      max_calls: scope.maxCalls,
      concurrency: scope.concurrency,
      ...moneyOrNull("assume", scope.assumeMicros),
    },
    ...moneyOrNull("cap", key.capMicros),
    ...moneyOrNull("daily_cap", key.dailyCapMicros),
    ...money("spent", key.spentMicros),
    ...money("spent_today", windowSpent(key, now)),
    ...money("reserved", key.reservedMicros),
    ...money("available", available(key, now)),
    counts: {
      calls: key.counts.calls,
      reserved: key.counts.reserved,
      settled: key.counts.settled,
      released: key.counts.released,
      unknown: key.counts.unknown,
    },
    refusals: key.refusals as Record<string, number>,
    refusals_without_row: Object.values(key.refusals).reduce((sum, each) => sum + each, 0) - key.refusalRows,
    created_at: iso(key.createdAt),
    expires_at: iso(key.expiresAt),
    updated_at: iso(key.updatedAt),
    chain_length: key.chainLength,
    chain_head: key.chainHead,
  };
}

export type CallRow = z.infer<typeof callShape>;

export function renderCall(call: Call): CallRow {
  return {
    call_id: call.id,
    key_id: call.keyId,
    label: call.label,
    vendor: call.vendor,
    endpoint: call.endpoint,
    method: call.method,
    path: call.path,
    state: call.state,
    code: call.code,
    status: call.status,
    object_id: call.objectId,
    currency: call.currency,
    amount_minor: call.amountMinor,
    ...money("cost", call.costMicros),
    ...money("quote", call.quoteMicros),
    ...money("reserved", call.reservedMicros),
    price_pending: call.pricePending,
    execution: call.execution,
    task_index: call.task,
    task_attempt: call.attempt,
    identity: call.identity,
    generation: call.generation,
    sends: call.sends,
    created_at: iso(call.createdAt),
    updated_at: iso(call.updatedAt),
    settled_at: call.settledAt === null ? null : iso(call.settledAt),
  };
}

export function renderRecord(record: ChainRecord): z.infer<typeof recordShape> {
  return {
    n: record.n,
    at: record.at,
    act: record.act,
    call_id: record.callId,
    reserved_micros: record.reservedMicros,
    spent_micros: record.spentMicros,
    cap_micros: record.capMicros,
    by: record.by,
    reason: record.reason,
    hash: record.hash,
  };
}
