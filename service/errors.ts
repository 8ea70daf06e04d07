/**
 * The closed catalogue of refusals: every answer that the proxy makes by itself carries one of these codes.
 * `retry` tells a client's SDK whether sending the same request again can help.
 */
export const catalogue = {
  request_invalid: {
    status: 400,
    retry: false,
    meaning: "The request cannot be read in exactly one way, or a field is wrong.",
  },
  key_invalid: { status: 401, retry: false, meaning: "No vault key, or not one of this proxy." },
  key_revoked: { status: 401, retry: false, meaning: "The vault key was revoked." },
  key_expired: { status: 401, retry: false, meaning: "The vault key's lifetime is over." },
  unauthenticated: {
    status: 401,
    retry: false,
    meaning: "The control plane needs an admin key, an issuer key or an ID token.",
  },
  key_paused: { status: 403, retry: false, meaning: "The vault key is paused." },
  endpoint_not_allowed: {
    status: 403,
    retry: false,
    meaning: "The key's allow-list, or the connector's never-list, excludes this endpoint.",
  },
  endpoint_unpriced: { status: 403, retry: false, meaning: "No rule of the connector prices this call." },
  parameter_not_allowed: { status: 403, retry: false, meaning: "A parameter reaches outside the key's scope." },
  currency_not_allowed: { status: 403, retry: false, meaning: "The currency has no dated rate at this proxy." },
  per_call_exceeded: { status: 403, retry: false, meaning: "The call costs more than the key's limit per call." },
  policy_denied: { status: 403, retry: false, meaning: "The caller's policy does not allow this." },
  not_found: { status: 404, retry: false, meaning: "No such key, call or route." },
  in_progress: { status: 409, retry: true, meaning: "The same call is being sent right now." },
  already_settled: {
    status: 409,
    retry: false,
    meaning: "The same call was settled; its answer was too large to keep.",
  },
  idempotency_mismatch: { status: 409, retry: false, meaning: "The idempotency key was used with another request." },
  label_conflict: { status: 409, retry: false, meaning: "The label has a key with another budget." },
  label_retired: { status: 409, retry: false, meaning: "The label's key was revoked or has expired." },
  call_state: { status: 409, retry: false, meaning: "The call or key is not in a state that allows this decision." },
  body_too_large: { status: 413, retry: false, meaning: "The request's body is over the limit." },
  media_type_unsupported: {
    status: 415,
    retry: false,
    meaning: "The request's content type or encoding is not taken here.",
  },
  cap_exhausted: { status: 429, retry: false, meaning: "The call would put spent + reserved over the key's cap." },
  rate_exhausted: {
    status: 429,
    retry: false,
    meaning: "The key's limit of calls a minute, of calls in all, or of calls at once is reached.",
  },
  upstream_unreachable: {
    status: 502,
    retry: true,
    meaning: "No byte of the request reached the vendor, or its answer cannot be passed on.",
  },
  vendor_credential_rejected: { status: 502, retry: true, meaning: "The vendor refused the real secret." },
  launch_refused: {
    status: 502,
    retry: false,
    meaning: "Cloud Run will not start this execution. The run's key is revoked.",
  },
  launch_pending: {
    status: 503,
    retry: true,
    meaning:
      "It is not known yet whether the execution runs, or Cloud Run cannot be asked. Send the request again: nothing starts twice.",
  },
  ledger_unavailable: { status: 503, retry: true, meaning: "The ledger cannot be written; nothing was sent." },
  vendor_secret_unavailable: {
    status: 503,
    retry: true,
    meaning: "The vendor's secret cannot be read; nothing was sent.",
  },
  overloaded: { status: 503, retry: true, meaning: "A bound of the proxy is reached; nothing was sent." },
  outcome_unknown: {
    status: 504,
    retry: false,
    meaning: "The call was sent, and nobody knows yet whether it took effect. Its reservation stays.",
  },
} as const satisfies Record<string, { status: number; retry: boolean; meaning: string }>;

export type Code = keyof typeof catalogue;

export interface RefusalOptions {
  /** Another status than the catalogue's (a repeat that cannot be sent again is 409 `outcome_unknown`). */
  status?: number;
  /** Another advice than the catalogue's. */
  retry?: boolean;
  /** Machine-readable facts, sent as further fields of the JSON error. */
  details?: Record<string, unknown>;
  /** The call that the refusal is about, for `x-keybrake-call`. */
  callId?: string;
}

/** A refusal of the catalogue. The message begins with the code. */
export class Refusal extends Error {
  readonly code: Code;
  readonly status: number;
  readonly retry: boolean;
  readonly details: Record<string, unknown>;
  callId: string | null;
  /** The ledger has counted it already and written its audit row. */
  recorded = false;

  constructor(code: Code, sentence: string, options: RefusalOptions = {}) {
    super(`${code}: ${sentence}`);
    this.name = "Refusal";
    this.code = code;
    this.status = options.status ?? catalogue[code].status;
    this.retry = options.retry ?? catalogue[code].retry;
    this.details = options.details ?? {};
    this.callId = options.callId ?? null;
  }
}
