import type { Draft } from "./draft.ts";
import type { Call } from "./types.ts";

/** A call of the draft's key of which nothing is known yet, and which holds nothing. */
export function blankCall({ state, now, token }: Draft, id: string): Call {
  const { keyId, owner, label, execution } = state;
  return {
    id,
    keyId,
    owner,
    label,
    execution,
    state: "released",
    code: null,
    vendor: "",
    endpoint: "",
    method: "",
    path: "",
    quoteMicros: 0,
    reservedMicros: 0,
    costMicros: 0,
    pricePending: false,
    currency: null,
    amountMinor: null,
    objectId: null,
    status: null,
    task: null,
    attempt: null,
    identity: "none",
    consumedBy: [],
    requestHash: "",
    generation: 0,
    sends: 0,
    doubt: false,
    idempotent: false,
    firstSentAt: now,
    leaseUntil: now,
    lookup: null,
    chain: [],
    token,
    createdAt: now,
    updatedAt: now,
    settledAt: null,
  };
}
