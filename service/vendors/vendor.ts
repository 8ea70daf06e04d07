/**
 * A connector, compiled: what the data plane, the reconciler and the command line ask of a vendor.
 * Knows no HTTP server and no ledger. Everything here is pure and synchronous; a refusal is thrown as `Refusal`.
 */
import type { Refusal } from "../errors.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** One operation of the vendor, found for a request line. */
export interface Operation {
  kind: "priced" | "free";
  /** `METHOD /path` of the rule, as the connector writes it: `POST /v1/payment_intents/{id}/capture`. */
  endpoint: string;
  method: string;
  /** Path as the vendor will get it, rebuilt from the parsed segments. */
  path: string;
  /** Upstream origin's subdomain label, when the connector lists some and the path named one. */
  subdomain: string | null;
  params: Record<string, string>;
  /** Largest body taken, bytes. */
  maxBodyBytes: number;
  /** Our idempotency key is honoured by the vendor on this operation. */
  idempotent: boolean;
  /** Repeats are recognised (every write). Reads are not shielded. */
  shield: boolean;
  /** The answer may be streamed from the start (free reads). */
  stream: boolean;
}

/** The client's message, parsed once and strictly. */
export interface VendorRequest {
  body: JsonObject;
  query: JsonObject;
  /** Headers of the connector's allow-list that were sent, lower-case names. */
  headers: Record<string, string>;
  /** Canonical text of method, path, query and body: equal requests have equal texts whatever their encoding. */
  canonical: string;
  /** The client's idempotency key when it came in the body (a field, which protects nothing): taken out of `body`. */
  bodyKey: string | null;
}

export interface RequestInput {
  /** Raw query text behind `?`, without it; `""` when there is none. */
  query: string;
  /** Content-Type as sent; `null` when there is none. */
  contentType: string | null;
  body: Buffer;
  /** The request's headers, names in lower case, each at most once. */
  headers: Record<string, string>;
  /** `accounts` of the key's scope. */
  accounts: readonly string[];
  /** The account that the real secret belongs to, where the connector can tell (Twilio's AccountSid), else `null`. */
  ownAccount: string | null;
}

/** What to reserve: an upper bound of what the call can cost. */
export interface Quote {
  micros: number;
  currency: string | null;
  amountMinor: number | null;
  /** The vendor object whose exposure this is; `micros` is then the object's total, of which what the key already holds is not reserved again. */
  object: string | null;
  /** One sentence: how the figure came about. */
  why: string;
}

export interface VendorMessage {
  method: string;
  /** Path and query as they go on the wire. */
  target: string;
  /** Allow-listed headers, content-type and idempotency key; credentials are added by `authorise`. */
  headers: Record<string, string>;
  body: Buffer | null;
}

/** What a vendor's answer means for the ledger: the table in ARCHITECTURE.md. */
export type Verdict =
  | {
      kind: "settle";
      micros: number;
      pricePending: boolean;
      currency: string | null;
      amountMinor: number | null;
      objectId: string | null;
      /** As in {@link Quote}: `micros` is the object's exposure from now on. */
      object: string | null;
    }
  | { kind: "release" }
  | { kind: "unknown" }
  /** The vendor refused the real secret (401). */
  | { kind: "credential" };

export interface VendorAnswer {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** Parsed JSON body; `undefined` when it was cut, too large or not JSON. */
  json: Json | undefined;
}

/** How the reconciler learns the truth: pages to read with the real secret, and what they mean. */
export interface LookupPlan {
  /** First request. */
  target: string;
  /** To send with every page, beside the credential: the account that the call was made in. */
  headers: Record<string, string>;
  subdomain: string | null;
  /**
   * Reads one answer. `next`: ask there as well; `absent`: proof that the call did not happen;
   * `unsure`: this vendor cannot tell (the call stays unknown).
   */
  read(
    answer: VendorAnswer,
  ): { kind: "found"; verdict: Verdict } | { kind: "next"; target: string } | { kind: "absent" } | { kind: "unsure" };
}

/** Facts of a call that a look-up may need; kept encrypted while the call is open. */
export interface LookupFacts {
  vendorKey: string;
  callId: string;
  /** ms */
  firstSentAt: number;
  lastSentAt: number;
  body: JsonObject;
  /** `headers` of the {@link VendorRequest}: a look-up in another account would prove nothing. */
  headers: Record<string, string>;
  quoteMicros: number;
  objectId: string | null;
  /** Vendor object ids that other calls own already (two identical texts are told apart by them). */
  taken: (objectId: string) => boolean;
}

/** A variable of a task's environment that the vendor's SDKs or samples read. */
export type VendorVariable =
  /** The vault key. */
  | { name: string; is: "credential" }
  /** The proxy's URL with this path behind it; empty: the URL alone. */
  | { name: string; is: "path"; path: string }
  /** The vendor's account that the calls are made in; `fits` tells whether a text can be one. */
  | { name: string; is: "account"; fits: (text: string) => boolean };

export interface Vendor {
  readonly id: string;
  /** Default upstream origin, `https://api.stripe.com`. */
  readonly upstream: string;
  readonly subdomains: readonly string[];
  /** Header names (lower case) that the data plane must hand over in {@link RequestInput.headers}, e.g. `idempotency-key`, `stripe-version`. */
  readonly headerNames: readonly string[];
  /** Header that carries the idempotency key in and out, lower case; `null` when the vendor has none. */
  readonly idempotencyHeader: string | null;
  /** Milliseconds for which the vendor remembers an idempotency key (Stripe 24 h: 23 h are used). */
  readonly idempotencyLifeMs: number;
  /** Header in which this vendor's clients put their credential, lower case: `authorization` (Bearer or Basic) or the vendor's own. */
  readonly credentialHeader: string;
  readonly variables: readonly VendorVariable[];

  /** Every rule's endpoint, for allow-lists and for naming the nearest one. */
  readonly endpoints: readonly { endpoint: string; kind: "priced" | "free" }[];
  /** True when a bare path (no mount) is one of this vendor's. */
  ownsPath(segments: readonly string[]): boolean;
  /**
   * Checks one entry of `allowed_endpoints` (without the `vendor:` prefix).
   * @returns `null` when it names at least one operation, else one sentence with the nearest entries that exist.
   */
  checkAllowed(entry: string): string | null;
  /** True when the entries allow the operation. */
  allows(entries: readonly string[], operation: Operation): boolean;

  /** Finds the operation of a request line. Throws `endpoint_not_allowed` (never-list), `endpoint_unpriced` (no rule). */
  find(method: string, segments: readonly string[]): Operation;
  /** Parses and checks the client's message. Throws `request_invalid`, `media_type_unsupported`, `parameter_not_allowed`, … */
  parse(operation: Operation, input: RequestInput): VendorRequest;
  /** The read that must come before the quote (confirm, refund), or `null`. Sent with the real secret and `request.headers`. */
  lookupTarget(operation: Operation, request: VendorRequest): string | null;
  /**
   * Prices the request. `assumeMicros`: what to take for a call whose price cannot be told; `null`: refuse.
   * Throws `endpoint_unpriced`, `currency_not_allowed`, `request_invalid`.
   */
  quote(operation: Operation, request: VendorRequest, found: Json | undefined, assumeMicros: number | null): Quote;
  /** Re-encodes the parse, with the pins that make sure that what was priced is what executes. Asserts parse(encode(x)) == x. */
  encode(
    operation: Operation,
    request: VendorRequest,
    quote: Quote,
    tags: { callId: string; vendorKey: string },
  ): VendorMessage;
  /** Puts the real secret where the vendor wants it; may rewrite headers or target. */
  authorise(message: VendorMessage, secret: string): VendorMessage;
  /** The account that a secret belongs to (Twilio: the user part), or `null`. */
  accountOf(secret: string): string | null;
  judge(
    operation: Operation,
    request: VendorRequest,
    quote: Quote,
    found: Json | undefined,
    answer: VendorAnswer,
  ): Verdict;
  /** True when the answer is a replay of an earlier one under the same idempotency key. */
  replayed(answer: VendorAnswer): boolean;
  /** Who made a client's idempotency key: the client, perhaps the client (a bare uuid4), or surely its SDK. */
  keyMadeBy(key: string): "client" | "maybe" | "sdk";
  /** A refusal in the vendor's own error shape, so that its SDK throws its typed error. */
  errorBody(refusal: Refusal): { contentType: string; body: string };

  /** Of a request, what {@link reconcile} would need later; `null` when this operation cannot be looked up. */
  lookupFacts(operation: Operation, request: VendorRequest): Pick<LookupFacts, "body" | "headers"> | null;
  /** Look-up of an UNKNOWN call; `null` when this vendor has no way to look. */
  reconcile(endpoint: string, path: string, facts: LookupFacts): LookupPlan | null;
  /** Read of the true price of a settled call whose price was pending; `null` when there is none. */
  priceTarget(endpoint: string, path: string, objectId: string): { target: string; subdomain: string | null } | null;
  /** The true price in micro-USD; `null` when it is not known yet. */
  price(endpoint: string, answer: VendorAnswer): number | null;
}
