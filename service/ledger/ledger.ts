/**
 * What the data plane, the control plane and the reconciler ask of the ledger. `open-ledger.ts` makes one from a store.
 */
import type { Code } from "../errors.ts";
import type { Call, KeyState, Scope } from "./types.ts";

export interface IssueRequest {
  owner: string;
  label: string;
  execution: string | null;
  /** Canonical body as asked, label aside. */
  asked: string;
  scope: Scope;
  capMicros: number | null;
  dailyCapMicros: number | null;
  expiresAt: number;
  /** Version of the pepper that the key's text is made with (`VaultKeys.currentVersion`). */
  pepperVersion: number;
  /** Who asked, for the chain. */
  by: string;
  /** Fields that a policy granted less of than was asked. */
  reduced?: string[];
  /** The sum of the caps that this policy may issue in one UTC day: counted in the commit that makes the key. */
  day?: { policy: string; limitMicros: number };
}

export interface ReserveRequest {
  vendor: string;
  endpoint: string;
  method: string;
  path: string;
  /** Canonical text of the request (method, path, query, body). */
  canonical: string;
  /** `false`: a read: repeats are not recognised. */
  shield: boolean;
  quoteMicros: number;
  /** Vendor object whose exposure is priced: `quoteMicros` is its total. */
  object: string | null;
  currency: string | null;
  amountMinor: number | null;
  clientKey: { value: string; madeBy: "client" | "maybe" | "sdk" } | null;
  dedupe: string | null;
  /** Cloud Run task and attempt, both or none. */
  task: number | null;
  attempt: number | null;
  idempotent: boolean;
  /** How long the vendor remembers our idempotency key, ms. */
  idempotencyLifeMs: number;
  /** How long this send may take, ms: outlives the upstream timeout. */
  leaseMs: number;
  /** Encrypted facts for a look-up. */
  lookup: string | null;
}

export type Reservation =
  /** Send it. `send` names this very send in {@link Ledger.finish}. */
  | { kind: "forward"; call: Call; vendorKey: string; send: number; key: KeyState }
  /** It was settled before: answer from the receipt. */
  | { kind: "repeat"; call: Call; key: KeyState };

export type Outcome =
  | {
      kind: "settle";
      status: number;
      micros: number;
      pricePending: boolean;
      currency: string | null;
      amountMinor: number | null;
      objectId: string | null;
      object: string | null;
      /** Sealed answer, or `null` when it is not kept. */
      receipt: string | null;
    }
  | { kind: "release"; status: number | null; code: string }
  | { kind: "unknown"; status: number | null; code: string };

export interface RefusedCall {
  code: Code;
  vendor: string;
  endpoint: string;
  method: string;
  path: string;
  task: number | null;
  attempt: number | null;
}

export type KeyAct =
  | { act: "pause"; by: string; reason: string }
  | { act: "resume"; by: string }
  | { act: "raise"; capMicros: number; by: string }
  | { act: "revoke"; by: string; reason: string }
  /** Ties the key to the Cloud Run execution that it was made for. Throws `call_state` when it is tied to another. */
  | { act: "bind"; execution: string; by: string };

export interface Ledger {
  /** The key's state, from memory when this process holds it; `null` when there is none. */
  key(keyId: string): Promise<KeyState | null>;
  /** The key's state read from the store. */
  fresh(keyId: string): Promise<KeyState | null>;
  /** What this process knows of the key now, without waiting. */
  peek(keyId: string): KeyState | null;

  /** Get-or-create by (owner, label). Throws `label_conflict`, `label_retired`, and `policy_denied` when the day's sum is reached. */
  issue(request: IssueRequest): Promise<{ created: boolean; key: KeyState }>;
  /** Throws `Refusal`, already counted and with its audit row (`cap_exhausted`, `key_revoked`, `in_progress`, …). Never answers before the commit is acknowledged. */
  reserve(keyId: string, request: ReserveRequest): Promise<Reservation>;
  /** Records how a send ended. Throws `ledger_unavailable` when that could not be made durable: then `finishLater`. */
  finish(keyId: string, callId: string, send: number, outcome: Outcome): Promise<Call>;
  /** Retries `finish` in the background until it lands or the process drains. */
  finishLater(keyId: string, callId: string, send: number, outcome: Outcome): void;
  /** Counts a refusal of a valid key and writes its audit row; nobody waits for it. @returns the row's call id. */
  refused(keyId: string, refused: RefusedCall): string;
  act(keyId: string, act: KeyAct): Promise<KeyState>;
  /** An operator's decision on an unknown call. Throws `call_state` when it is not unknown. */
  settleByHand(call: Call, micros: number, by: string, reason: string): Promise<Call>;
  releaseByHand(call: Call, by: string, reason: string): Promise<Call>;
  /** What a look-up proved about an UNKNOWN call. */
  evidence(call: Call, outcome: Outcome): Promise<Call>;
  /** The true price of a settled call. */
  adjust(call: Call, micros: number, reason: string): Promise<Call>;
  /** The sender of a RESERVED call is gone: UNKNOWN from now on. */
  lose(call: Call, code: string): Promise<Call>;
  receipt(keyId: string, callId: string): Promise<string | null>;
  /** True when another call of the key owns this vendor object. */
  ownsObject(keyId: string, vendor: string, object: string): Promise<boolean>;

  /** Calls reserved by a dead process become UNKNOWN (exclusive stores only). @returns how many. */
  recover(): Promise<number>;
  /** No new reservations; waits for what is queued, at most `ms`; marks the rest UNKNOWN. */
  drain(ms: number): Promise<void>;
}
