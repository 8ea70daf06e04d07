/**
 * The request's headers, from `rawHeaders`: Node joins or drops duplicates by rules of its own, and the vendor behind us by others.
 * Only the headers that somebody reads are taken, each at most once; nothing else of them goes anywhere.
 */
import type { IncomingMessage } from "node:http";
import { Refusal } from "../errors.ts";
import type { Vendor } from "../vendors/vendor.ts";

/** Names in lower case. */
export type RequestHeaders = Record<string, string>;

const always = [
  "host",
  "connection",
  "upgrade",
  "expect",
  "content-length",
  "transfer-encoding",
  "content-type",
  "content-encoding",
  "authorization",
  "idempotency-key",
  "x-keybrake-task-index",
  "x-keybrake-task-attempt",
  "x-keybrake-dedupe",
  "traceparent",
  "x-cloud-trace-context",
];

export function headerNamesOf(vendors: Iterable<Vendor>): ReadonlySet<string> {
  const names = new Set(always);
  for (const vendor of vendors) {
    for (const name of vendor.headerNames) names.add(name);
    names.add(vendor.credentialHeader);
    if (vendor.idempotencyHeader) names.add(vendor.idempotencyHeader);
  }
  return names;
}

export function readHeaders(request: IncomingMessage, names: ReadonlySet<string>): RequestHeaders {
  const raw = request.rawHeaders;
  const headers: RequestHeaders = Object.create(null);
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    if (!names.has(name)) continue;
    if (headers[name] !== undefined) {
      throw new Refusal("request_invalid", `the header ${name} was sent more than once; send it once`);
    }
    headers[name] = raw[i + 1]!;
  }
  checkFraming(headers, request.httpVersion);
  return headers;
}

/** Node takes `gzip, chunked` and leaves the gzip to us; a front end may not. */
function checkFraming(headers: RequestHeaders, httpVersion: string): void {
  const coding = headers["transfer-encoding"];
  const length = headers["content-length"];
  if (coding !== undefined) {
    if (coding !== "chunked" || httpVersion !== "1.1") {
      throw new Refusal("request_invalid", "the only Transfer-Encoding taken is exactly `chunked`, on HTTP/1.1");
    }
    if (length !== undefined) {
      throw new Refusal("request_invalid", "send Content-Length or Transfer-Encoding, not both");
    }
  }
  if (length !== undefined && !/^\d{1,12}$/.test(length)) {
    throw new Refusal("request_invalid", "Content-Length must be a plain number of bytes");
  }
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    throw new Refusal("media_type_unsupported", "send the body without a content-encoding");
  }
}
