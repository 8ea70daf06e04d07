/** Answers of a vendor, passed on: its status and body, the headers of an allow-list, and what the ledger has to say. */
import type { ServerResponse } from "node:http";
import { Refusal } from "../errors.ts";
import { available } from "../ledger/balance.ts";
import { formatUsd } from "../money.ts";
import { discardBody } from "./body.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { VendorReply } from "./forward.ts";
import type { KeptAnswer } from "./receipt.ts";
import { type SecretScanner, StreamScan } from "./scan.ts";

const passed = new Set([
  "content-type",
  "request-id",
  "x-request-id",
  "twilio-request-id",
  "idempotent-replayed",
  "stripe-version",
  "stripe-should-retry",
  "retry-after",
  "ratelimit-limit",
  "ratelimit-remaining",
  "ratelimit-reset",
  "ratelimit-policy",
]);
const headerText = /^[\x20-\x7e]*$/;

/** Of a vendor's headers those that the client may see, flat. */
export function passedHeaders(headers: Record<string, string>): string[] {
  const flat: string[] = [];
  for (const name in headers) {
    const value = headers[name]!;
    if (passed.has(name) && headerText.test(value)) flat.push(name, value);
  }
  return flat;
}

/** What every answer about a key says: the call, what is left, and how the ledger has it. */
function ledgerHeaders(plane: DataPlane, exchange: Exchange): string[] {
  const headers: string[] = [];
  if (exchange.callId) headers.push("x-keybrake-call", exchange.callId);
  if (exchange.key) {
    const key = plane.ledger.peek(exchange.key.keyId) ?? exchange.key;
    headers.push("x-keybrake-remaining-usd", formatUsd(available(key, plane.clock.now())));
  }
  if (exchange.pending) headers.push("x-keybrake-settled", "pending");
  if (exchange.replayed) headers.push("x-keybrake-replayed", "true");
  return headers;
}

export function answer(plane: DataPlane, exchange: Exchange, kept: KeptAnswer): void {
  exchange.status = kept.status;
  if (exchange.gone) return;
  const bodiless = kept.status === 204 || kept.status === 304;
  const headers = [...kept.headers, ...ledgerHeaders(plane, exchange)];
  if (!bodiless) headers.push("content-length", String(kept.body.length));
  writeHead(plane, exchange, headers);
  exchange.response.end(bodiless ? undefined : kept.body);
}

/**
 * An answer that broke off, or that is too long to wait for. It ends as it ended at the vendor: a cut one is cut for the client
 * too. Resolves when it is over; rejects with a `Refusal` when the secret is seen before anything has left.
 */
export function answerStream(
  plane: DataPlane,
  exchange: Exchange,
  reply: VendorReply,
  scanners: readonly SecretScanner[],
): Promise<void> {
  const { response } = exchange;
  const { rest } = reply;
  const scan = new StreamScan(scanners);
  let begun = false;
  let over = false;
  const put = (free: Buffer): boolean => {
    if (exchange.gone) return true;
    if (!begun) {
      begun = true;
      exchange.status = reply.status;
      writeHead(plane, exchange, [...passedHeaders(reply.headers), ...ledgerHeaders(plane, exchange)]);
      response.flushHeaders();
    }
    return free.length === 0 || response.write(free);
  };
  return new Promise((resolve, reject) => {
    const end = (whole: boolean): void => {
      if (over) return;
      over = true;
      exchange.status = reply.status;
      put(scan.end());
      if (whole && !exchange.gone) response.end();
      else cutSoon(response);
      resolve();
    };
    const write = (chunk: Buffer): boolean => {
      if (over) return true;
      const free = scan.push(chunk);
      if (free) return free.length === 0 || put(free);
      over = true;
      plane.log.error({ call_id: exchange.callId, vendor: exchange.vendor?.id }, "a vendor's stream held its secret");
      rest?.cancel();
      if (begun) {
        cutSoon(response);
        resolve();
      } else reject(new Refusal("upstream_unreachable", "the vendor's answer held its secret and is withheld"));
      return true;
    };
    write(reply.body);
    if (!rest) {
      end(false);
      return;
    }
    response.on("drain", () => rest.resume());
    // A client that leaves must not stop what the vendor has begun: the rest is read and thrown away.
    response.on("close", () => rest.resume());
    rest.pipe({ write, end });
  });
}

/** Ends the connection behind what was written, but not the message: the client sees that it is not whole. */
function cutSoon(response: ServerResponse): void {
  const { socket } = response;
  setImmediate(() => socket?.destroySoon());
}

function writeHead(plane: DataPlane, exchange: Exchange, headers: string[]): void {
  const { response } = exchange;
  if (plane.draining || exchange.expectsContinue) response.shouldKeepAlive = false;
  discardBody(exchange, plane.limits.discardBytes);
  response.writeHead(exchange.status, headers);
}

/** As {@link answer}, for refusals. */
export function answerText(
  plane: DataPlane,
  exchange: Exchange,
  status: number,
  headers: string[],
  body: string,
): void {
  answer(plane, exchange, { status, headers, body: Buffer.from(body) });
}
