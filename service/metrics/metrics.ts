/**
 * What the proxy tells of itself in figures. The ledger and the data plane know this interface only; who is given none counts
 * nothing. No attribute names a key, a label or a path: what one may be is bounded by the connectors and the catalogue of codes.
 */
import type { Code } from "../errors.ts";

export interface Metrics {
  /** A request of the data plane has had its answer. */
  ended(call: EndedCall): void;
  /** A commit of the ledger is durable. */
  committed(commit: LandedCommit): void;
  /** A commit did not land as it was: the key had moved, a document existed, or the answer was lost. */
  repeated(why: "conflict" | "exists" | "doubt"): void;
  /** No commit could be made in time: the callers were answered `ledger_unavailable`. */
  uncommitted(calls: number): void;
}

export interface EndedCall {
  /** Empty before it is known. */
  vendor: string;
  /** `METHOD /path` of the connector's rule; empty before it is known. */
  endpoint: string;
  /** State of the call in the ledger, or `repeated` (answered from a receipt), `pending`, `refused`, `client_gone`. */
  state: string;
  /** Of the refusal that was answered. */
  code: Code | null;
  /** From the first byte of its headers to the answer's last, ms. */
  ms: number;
}

export interface LandedCommit {
  /** Intents that shared it. */
  calls: number;
  /** From handing it to the store to its answer, ms. */
  ms: number;
  moves: readonly Move[];
}

/** What a commit changed about one call, in micro-USD: its share of the key's balance. */
export interface Move {
  vendor: string;
  endpoint: string;
  /** Held by calls that are reserved or unknown. */
  reservedMicros: number;
  /** The part of it that unknown calls hold. */
  unknownMicros: number;
  spentMicros: number;
}
