/** One request and what has been learnt of it so far: what its answer and its log line are made from. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Code, Refusal } from "../errors.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Operation, Quote, Vendor } from "../vendors/vendor.ts";
import type { RequestHeaders } from "./headers.ts";

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly startedAt: number;
  /** The client waits for `100 Continue` before it sends its body. */
  expectsContinue: boolean;
  headers: RequestHeaders | null = null;
  key: KeyState | null = null;
  /** Counted among its key's exchanges. */
  entered = false;
  task: number | null = null;
  attempt: number | null = null;
  vendor: Vendor | null = null;
  operation: Operation | null = null;
  quote: Quote | null = null;
  callId: string | null = null;
  /** The ledger holds a call for this request: from now on a refusal is no audit row of its own. */
  reserved = false;
  /** Answered from the receipt of an earlier send. */
  replayed = false;
  /** The outcome is not in the ledger yet. */
  pending = false;
  /** Catalogue code of the refusal that was answered. */
  code: Code | null = null;
  /** Status answered to the client. */
  status = 0;
  vendorStatus: number | null = null;
  state: string | null = null;
  costMicros: number | null = null;
  /** Told by the server when the rest of the body will never come (bad framing, too slow). */
  broken: ((refusal: Refusal) => void) | null = null;

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean, now: number) {
    this.request = request;
    this.response = response;
    this.expectsContinue = expectsContinue;
    this.startedAt = now;
  }

  /** The client has left: there is nobody to answer. */
  get gone(): boolean {
    return this.response.destroyed || this.request.socket.destroyed;
  }

  get carriesBody(): boolean {
    const { headers } = this.request;
    return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
  }
}

/** The client left before its call was reserved: nothing was sent, and nobody is answered. */
export class ClientGone extends Error {
  override name = "ClientGone";
}
