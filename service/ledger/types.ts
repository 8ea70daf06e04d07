/**
 * The ledger's documents: plain data, JSON-serialisable, the same in every store.
 * Times are milliseconds since the epoch, money is integer micro-USD.
 */
import type { Code } from "../errors.ts";

export type KeyStatus = "active" | "paused" | "revoked";

/** What a vault key may do, fixed when it is issued. */
export interface Scope {
  vendors: string[];
  /** As asked: `POST /v1/payment_intents`, `stripe:POST /v1/…` with several vendors, or `*`. */
  allowedEndpoints: string[];
  /** Vendor accounts that requests may name (Stripe-Account, another Twilio AccountSid). */
  accounts: string[];
  perCallMicros: number | null;
  callsPerMinute: number | null;
  maxCalls: number | null;
  /** Calls reserved at one time. */
  concurrency: number;
  /** What to reserve for a call that the connector cannot price; `null`: such calls are refused. */
  assumeMicros: number | null;
}

/** The hot document: one per vault key. Small, and without fields that a store must index per call. */
export interface KeyState {
  keyId: string;
  /** Policy or principal that owns the key. */
  owner: string;
  label: string;
  /** Cloud Run execution that the label is bound to, when known. */
  execution: string | null;
  /** The canonical request body as asked, label aside: what get-or-create compares. */
  asked: string;
  scope: Scope;
  /** Fields of the request that a policy granted less of than was asked; none: absent. */
  reduced?: string[];
  /** Version of the pepper that the key's text was made with. */
  pepperVersion: number;
  /** Lifetime cap; `null` when only a daily cap was asked for a lifetime of more than 24 h. */
  capMicros: number | null;
  spentMicros: number;
  reservedMicros: number;
  dailyCapMicros: number | null;
  /** UTC date (`2026-11-22`) that `windowSpentMicros` belongs to. */
  windowId: string;
  windowSpentMicros: number;
  status: KeyStatus;
  /** Why it is paused or revoked. */
  reason: string | null;
  createdAt: number;
  expiresAt: number;
  /** Hex; call ids and aliases are hashes under it. */
  salt: string;
  counts: { calls: number; reserved: number; settled: number; released: number; unknown: number };
  /** Minute (epoch minutes) that `minuteCalls` belongs to. */
  minuteId: number;
  minuteCalls: number;
  /** Refusals of a valid key by code. */
  refusals: Partial<Record<Code, number>>;
  /** Audit rows written for refusals; bounded. */
  refusalRows: number;
  /** Hash of the last record (hex), and how many there are. */
  chainHead: string;
  chainLength: number;
  /** Changes with every commit. */
  sequence: number;
  /** Fresh random text of the last commit: what proves after a lost answer that it applied. */
  token: string;
  /** Time of the last commit; never goes back. */
  updatedAt: number;
}

export type CallState = "reserved" | "settled" | "released" | "unknown" | "refused";

/** How a repeat of the call is recognised; see identity.ts. */
export type IdentityRule = "key" | "dedupe" | "task" | "generated_key" | "none";

/** Who has taken this call as its own: a task attempt, and the hash of the idempotency key it sent, if any. */
export interface Consumer {
  attempt: number;
  key: string | null;
}

/** One vendor call, priced and recorded: also the audit row. */
export interface Call {
  id: string;
  keyId: string;
  owner: string;
  label: string;
  execution: string | null;
  state: CallState;
  /** Catalogue code of a refusal, or why a call was released or is unknown. */
  code: string | null;
  vendor: string;
  /** `METHOD /path` of the connector's rule. */
  endpoint: string;
  method: string;
  /** Path as sent to the vendor. */
  path: string;
  quoteMicros: number;
  /** Held now; 0 once settled or released. */
  reservedMicros: number;
  /** What it added to `spent`, adjustments included. */
  costMicros: number;
  /** Settled at the quote; the vendor names the true price later. */
  pricePending: boolean;
  currency: string | null;
  /** Amount in the currency's minor unit, as sent or as answered. */
  amountMinor: number | null;
  /** The vendor's id of what the call made or changed. */
  objectId: string | null;
  /** The vendor's HTTP status. */
  status: number | null;
  task: number | null;
  attempt: number | null;
  identity: IdentityRule;
  consumedBy: Consumer[];
  /** Keyed hash of the canonical request. */
  requestHash: string;
  /** Goes up when a released call is tried as a new one at the vendor. With the id it is the vendor's idempotency key. */
  generation: number;
  /** How often we sent it, all generations. */
  sends: number;
  /** An earlier send of this generation ended unknown: then a release proves nothing. */
  doubt: boolean;
  /** The vendor honours our idempotency key on this operation. */
  idempotent: boolean;
  firstSentAt: number;
  /** Until then a RESERVED call is being sent by somebody. */
  leaseUntil: number;
  /** Encrypted fields that a look-up needs; wiped when the outcome is known. */
  lookup: string | null;
  /** Chain numbers of its transitions. */
  chain: number[];
  /** Batch token of its last transition. */
  token: string;
  createdAt: number;
  updatedAt: number;
  settledAt: number | null;
}

/** Points from a second identity (a client's uuid) to the call. */
export interface Alias {
  callId: string;
}

/** Which call owns the exposure of a vendor's object, and which calls are about it. */
export interface OwnedObject {
  /** The owner; `null` while no call about it has settled. */
  callId: string | null;
  /** Calls about it that were open when this was written. */
  open?: string[];
  /** A call about it settled while another was open: which of them the vendor took last is not known. */
  overlapped?: boolean;
}

/** Calls of one identical text that are UNKNOWN now. */
export interface UnknownMarker {
  count: number;
  /** The last one that became UNKNOWN. */
  callId: string;
}

/** The vendor's answer to a settled call, sealed under the vault key's text. */
export interface Receipt {
  sealed: string;
  expiresAt: number;
}

export interface DocTypes {
  /** call */ c: Call;
  /** alias */ a: Alias;
  /** vendor object */ o: OwnedObject;
  /** receipt */ r: Receipt;
  /** unknown marker */ u: UnknownMarker;
}

/** `c:<call id>`, `a:<hash>`, `o:<hash>`, `r:<call id>`, `u:<hash>`: unique in the whole store. */
export type DocId = `${keyof DocTypes}:${string}`;
export type Doc = DocTypes[keyof DocTypes];

export type Act =
  | "issue"
  | "bind"
  | "reserve"
  | "settle"
  | "release"
  | "unknown"
  | "adjust"
  | "pause"
  | "resume"
  | "raise"
  | "revoke"
  | "settle_by_hand"
  | "release_by_hand";

/** One link of the key's hash chain: `hash` = hex SHA-256(previous hash, newline, JSON array of the fields in the order below). */
export interface ChainRecord {
  n: number;
  at: number;
  act: Act;
  callId: string | null;
  /** Change of the key's `reserved` and `spent`: their sums over the chain are the balance. */
  reservedMicros: number;
  spentMicros: number;
  /** New lifetime cap (issue, raise). */
  capMicros: number | null;
  /** Who did it (operator's acts) and why. */
  by: string | null;
  reason: string | null;
  hash: string;
}

/** The records of one commit. The page's id is its first chain number, so that it also proves which commit took that place. */
export interface ChainPage {
  keyId: string;
  first: number;
  token: string;
  records: ChainRecord[];
}
