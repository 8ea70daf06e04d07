/**
 * The key's hash chain: every change of the balance, and every operator's act, is a record that carries the hash of the one
 * before. It proves loss and edits against a head that is kept elsewhere (the log prints heads).
 */
import { hash } from "node:crypto";
import type { ChainRecord } from "./types.ts";

/** Head of a chain without records. */
export const GENESIS = "0".repeat(64);

export type ChainEntry = Omit<ChainRecord, "hash">;

/** The text that is hashed: fields in this order, whatever the order in which a store gives them back. */
function canonical(record: ChainEntry): string {
  return JSON.stringify([
    record.n,
    record.at,
    record.act,
    record.callId,
    record.reservedMicros,
    record.spentMicros,
    record.capMicros,
    record.by,
    record.reason,
  ]);
}

export function link(previous: string, entry: ChainEntry): ChainRecord {
  return { ...entry, hash: hash("sha256", `${previous}\n${canonical(entry)}`) };
}

/** Walks a chain from its genesis and adds it up. */
export class ChainVerifier {
  head = GENESIS;
  length = 0;
  reservedMicros = 0;
  spentMicros = 0;
  /** One sentence about the first record that does not fit; `null` while all do. */
  fault: string | null = null;

  add(record: ChainRecord): void {
    if (this.fault !== null) return;
    const { hash: stored, ...entry } = record;
    if (record.n !== this.length) this.fault = `record ${this.length} is missing: found ${record.n} in its place`;
    else if (link(this.head, entry).hash !== stored) this.fault = `record ${record.n} does not match its hash`;
    if (this.fault !== null) return;
    this.head = stored;
    this.length += 1;
    this.reservedMicros += record.reservedMicros;
    this.spentMicros += record.spentMicros;
  }
}
