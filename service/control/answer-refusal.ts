/** Refusals of the control plane as `{code, message, …}`, and the one place that tells which refusal an error is. */
import type { ServerResponse } from "node:http";
import { Refusal } from "../errors.ts";
import { BadCursor, StoreUnavailable } from "../stores/store.ts";
import { MAX_BODY_BYTES } from "./read-input.ts";

/** Errors of Express and its body parser carry an HTTP status and a type (https://github.com/stream-utils/raw-body#errors, read 2026-11). */
interface HttpError {
  status?: unknown;
  type?: unknown;
}

/** What an error means for the caller. An error that nobody foresaw is 503 `ledger_unavailable`: nothing is known to be written. */
export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof StoreUnavailable) {
    return new Refusal("ledger_unavailable", "the ledger's store cannot be reached; send the same request again");
  }
  if (error instanceof BadCursor) {
    return new Refusal(
      "request_invalid",
      "`cursor` is not one that this listing gave out; send `next_cursor` as it was",
    );
  }
  const { status, type } = (typeof error === "object" && error !== null ? error : {}) as HttpError;
  if (type === "entity.too.large") {
    return new Refusal("body_too_large", `the body is over ${MAX_BODY_BYTES} bytes`);
  }
  if (status === 415) {
    return new Refusal("media_type_unsupported", "send the body without a content-encoding");
  }
  if (typeof status === "number" && status >= 400 && status < 500) {
    return new Refusal("request_invalid", "the request cannot be read; check its path's escapes and its length");
  }
  return new Refusal("ledger_unavailable", "the proxy failed on this request; its log says why", { retry: true });
}

/** A refusal after the head was sent cannot be told any more: then the connection is cut, so that nobody takes half for whole. */
export function answerRefusal(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.setHeader("x-keybrake-code", refusal.code);
  if (refusal.callId) response.setHeader("x-keybrake-call", refusal.callId);
  if (refusal.status === 401) response.setHeader("www-authenticate", "Bearer");
  // The rest of a body that was too large is not read.
  if (refusal.status === 413) response.setHeader("connection", "close");
  response.writeHead(refusal.status, { "content-type": "application/json" });
  response.end(`${JSON.stringify({ code: refusal.code, message: refusal.message, ...refusal.details })}\n`);
}
