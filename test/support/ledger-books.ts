/**
 * What the ledger says of one key, asked over the control plane and checked against itself: the chain's hashes, the cap at every
 * single record, and four ways to add up the balance. Throws by `expect` when they differ.
 */
import { expect } from "vitest";
import { ChainVerifier } from "../../service/ledger/chain.ts";
import type { Act } from "../../service/ledger/types.ts";
import type { RunningProxy } from "./proxy.ts";

type Row = Record<string, unknown>;

export interface LedgerBooks {
  capMicros: number;
  spentMicros: number;
  reservedMicros: number;
  status: string;
  /** Calls that were sent or held, refused ones aside. */
  calls: Row[];
  refused: Row[];
  /** Σ of state → count. */
  states: Record<string, number>;
}

export async function ledgerBooks(proxy: RunningProxy, keyId: string, label: string): Promise<LedgerBooks> {
  const rows = await proxy.calls(label);
  const key = await proxy.key(keyId);
  const calls = rows.filter((row) => row.state !== "refused");
  const states: Record<string, number> = {};
  for (const { state } of calls) states[String(state)] = (states[String(state)] ?? 0) + 1;

  expect(key.spent_micros).toBe(sum(calls, "cost_micros"));
  expect(key.reserved_micros).toBe(sum(calls, "reserved_micros"));
  expect(calls.filter((row) => Number(row.reserved_micros) > 0 && !open(row))).toEqual([]);
  expect(key.counts).toMatchObject({ settled: states.settled ?? 0, unknown: states.unknown ?? 0 });

  const proof = (await proxy.admin("GET", `/vault/keys/${keyId}/proof`)).body;
  expect([proof.verified, proof.fault]).toEqual([true, null]);
  expect(proof.chain_head).toBe(key.chain_head);
  const balance = walk(proof.calls as Row[]);
  expect(balance).toEqual({ spent: key.spent_micros, reserved: key.reserved_micros, cap: key.cap_micros });

  const summary = (await proxy.admin("GET", `/audit/summary?label=${encodeURIComponent(label)}&group_by=vendor`)).body;
  expect(sum(summary.groups as Row[], "spent_micros")).toBe(key.spent_micros);
  return {
    capMicros: Number(key.cap_micros),
    spentMicros: Number(key.spent_micros),
    reservedMicros: Number(key.reserved_micros),
    status: String(key.status),
    calls,
    refused: rows.filter((row) => row.state === "refused"),
    states,
  };
}

const open = (row: Row): boolean => row.state === "reserved" || row.state === "unknown";
const sum = (rows: readonly Row[], field: string): number => rows.reduce((total, row) => total + Number(row[field]), 0);

/** Every record of the chain leaves `0 ≤ reserved` and `spent + reserved ≤ cap`. */
function walk(records: readonly Row[]): { spent: number; reserved: number; cap: number } {
  const chain = new ChainVerifier();
  let cap = 0;
  for (const row of records) {
    chain.add({
      n: Number(row.n),
      at: Number(row.at),
      act: row.act as Act,
      callId: row.call_id as string | null,
      reservedMicros: Number(row.reserved_micros),
      spentMicros: Number(row.spent_micros),
      capMicros: row.cap_micros as number | null,
      by: row.by as string | null,
      reason: row.reason as string | null,
      hash: String(row.hash),
    });
    if (row.cap_micros !== null) cap = Number(row.cap_micros);
    if (chain.reservedMicros < 0 || chain.spentMicros + chain.reservedMicros > cap) {
      expect.fail(`record ${String(row.n)}: ${chain.spentMicros} + ${chain.reservedMicros} over the cap of ${cap}`);
    }
  }
  expect(chain.fault).toBeNull();
  return { spent: chain.spentMicros, reserved: chain.reservedMicros, cap };
}
