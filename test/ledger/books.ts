/**
 * The auditor: reads one key's documents from a store and says what is wrong with them, without the ledger's code. It replays
 * the chain, so that the invariants are checked at every commit that ever was, not only at the last.
 */
import { createHash } from "node:crypto";
import type { Call, ChainRecord, KeyState } from "../../service/ledger/types.ts";
import { type Store, StoreUnavailable } from "../../service/stores/store.ts";

export interface Books {
  key: KeyState;
  calls: Call[];
  /** The records, commit by commit. */
  commits: ChainRecord[][];
}

/** One consistent picture of a key, whatever is being written meanwhile. */
export async function readBooks(store: Store, keyId: string): Promise<Books> {
  for (let tries = 0; tries < 10_000; tries += 1) {
    try {
      const before = await store.read(keyId, []);
      if (!before) throw new Error(`no key ${keyId}`);
      const calls: Call[] = [];
      for (let cursor: string | null = null, first = true; first || cursor !== null; first = false) {
        const page: Awaited<ReturnType<Store["listCalls"]>> = await store.listCalls({ keyIds: [keyId] }, 100, cursor);
        calls.push(...page.items);
        cursor = page.cursor;
      }
      const commits: ChainRecord[][] = [];
      for (let from = 0; from < before.state.chainLength; ) {
        const pages = await store.listPages(keyId, from, 100);
        if (pages.length === 0) break;
        commits.push(...pages.map((page) => page.records));
        from = commits.at(-1)!.at(-1)!.n + 1;
      }
      const after = await store.read(keyId, []);
      if (after?.version === before.version) return { key: before.state, calls, commits };
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
    }
  }
  throw new Error(`key ${keyId} never stood still`);
}

const sum = (numbers: number[]): number => numbers.reduce((total, each) => total + each, 0);

/** @returns one sentence for everything that is wrong; empty when the books are right. */
export function faultsOf({ key, calls, commits }: Books): string[] {
  const faults: string[] = [];
  const check = (right: boolean, sentence: string) => {
    if (!right) faults.push(sentence);
  };
  const held = calls.filter((call) => call.state === "reserved" || call.state === "unknown");
  const rest = calls.filter(
    (call) => call.state === "settled" || call.state === "released" || call.state === "refused",
  );
  const reserved = sum(held.map((call) => call.reservedMicros));
  const spent = sum(calls.filter((call) => call.state === "settled").map((call) => call.costMicros));
  check(key.reservedMicros === reserved, `reserved is ${key.reservedMicros}, the open calls hold ${reserved}`);
  check(key.spentMicros === spent, `spent is ${key.spentMicros}, the settled calls cost ${spent}`);
  check(key.reservedMicros >= 0 && key.spentMicros >= 0, "a sum is negative");
  for (const call of rest) check(call.reservedMicros === 0, `${call.state} call ${call.id} still holds money`);
  for (const call of calls)
    if (call.state !== "settled") check(call.costMicros === 0, `${call.state} ${call.id} has a cost`);
  for (const state of ["reserved", "settled", "released", "unknown"] as const) {
    const there = calls.filter((call) => call.state === state).length;
    check(key.counts[state] === there, `the key counts ${key.counts[state]} ${state} calls, there are ${there}`);
  }
  const rows = calls.filter((call) => call.state === "refused").length;
  check(key.refusalRows === rows, `the key counts ${key.refusalRows} refusal rows, there are ${rows}`);
  return [...faults, ...chainFaults(key, calls, commits)];
}

/** Replays the chain from nothing: numbers, hashes, sums, and what every commit left. */
function chainFaults(key: KeyState, calls: Call[], commits: ChainRecord[][]): string[] {
  const faults: string[] = [];
  let [head, n, reserved, spent, windowSpent] = ["0".repeat(64), 0, 0, 0, 0];
  let cap: number | null = null;
  let day = "";
  let overrun = false;
  const ofCall = new Map<string, ChainRecord[]>();
  for (const records of commits) {
    for (const record of records) {
      const { at, act, callId, reservedMicros, spentMicros, capMicros, by, reason } = record;
      const text = JSON.stringify([n, at, act, callId, reservedMicros, spentMicros, capMicros, by, reason]);
      const hash = createHash("sha256").update(`${head}\n${text}`).digest("hex");
      if (record.n !== n || record.hash !== hash) return [...faults, `chain record ${n} does not verify`];
      head = hash;
      n += 1;
      reserved += reservedMicros;
      spent += spentMicros;
      const today = new Date(at).toISOString().slice(0, 10);
      if (today !== day) [day, windowSpent] = [today, 0];
      windowSpent = Math.max(0, windowSpent + spentMicros);
      cap = capMicros ?? cap;
      if (act === "revoke" || (act === "pause" && reason === "cost_over_reservation")) overrun = true;
      if (callId !== null) ofCall.set(callId, [...(ofCall.get(callId) ?? []), record]);
    }
    const daily = key.dailyCapMicros;
    if (reserved < 0 || spent < 0) faults.push(`a sum is negative after record ${n - 1}`);
    // A cost above its reservation is recorded in full (I8): the cap may be passed, but only on a key that is closed by it.
    if (!overrun && cap !== null && spent + reserved > cap) faults.push(`over the cap after record ${n - 1}`);
    if (!overrun && daily !== null && windowSpent + reserved > daily) faults.push(`over the day's cap after ${n - 1}`);
  }
  if (n !== key.chainLength || head !== key.chainHead) faults.push("the chain's end is not the key's head");
  if (reserved !== key.reservedMicros) faults.push("the chain does not add up to reserved");
  if (spent !== key.spentMicros) faults.push("the chain does not add up to spent");
  if (cap !== key.capMicros) faults.push("the chain's last cap is not the key's");
  for (const call of calls) faults.push(...callFaults(call, ofCall.get(call.id) ?? []));
  for (const id of ofCall.keys())
    if (!calls.some((call) => call.id === id)) faults.push(`the chain's call ${id} is gone`);
  return faults;
}

function callFaults(call: Call, records: ChainRecord[]): string[] {
  const faults: string[] = [];
  const numbers = records.map((record) => record.n).join();
  if (numbers !== call.chain.join()) faults.push(`call ${call.id} names records ${call.chain}, the chain ${numbers}`);
  if (sum(records.map((record) => record.spentMicros)) !== call.costMicros)
    faults.push(`cost of ${call.id} is not chained`);
  if (sum(records.map((record) => record.reservedMicros)) !== call.reservedMicros) {
    faults.push(`what ${call.id} holds is not chained`);
  }
  return faults;
}

/** Throws when the key's books are wrong. */
export async function audit(store: Store, keyId: string): Promise<Books> {
  const books = await readBooks(store, keyId);
  const faults = faultsOf(books);
  if (faults.length > 0) throw new Error(`the books of ${keyId} are wrong: ${faults.join("; ")}`);
  return books;
}
