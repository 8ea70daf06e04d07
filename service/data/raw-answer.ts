/** Refusals on a connection whose request never became one: written to the socket as they are, then it is closed. */
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { Refusal } from "../errors.ts";
import { plainBody } from "./plain-body.ts";

/** How long a client may take to read the answer, ms. */
const LINGER_MS = 1_000;

/** What Node's parser or its timers found wrong. */
export function refusalOf(error: NodeJS.ErrnoException): Refusal {
  switch (error.code) {
    case "HPE_HEADER_OVERFLOW":
      return new Refusal("request_invalid", "the request line and headers are over 16 KiB together", { status: 431 });
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Refusal("request_invalid", "the request took too long to arrive", { status: 408 });
    default:
      return new Refusal("request_invalid", "the request is not HTTP/1.1 that can be read in exactly one way");
  }
}

export function answerRaw(socket: Duplex, refusal: Refusal): void {
  const { contentType, body } = plainBody(refusal);
  const advice = refusal.retry ? [] : ["stripe-should-retry: false", "x-should-retry: false"];
  const head = [
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}`,
    `content-type: ${contentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    "connection: close",
    `x-keybrake-code: ${refusal.code}`,
    ...advice,
  ];
  socket.on("error", () => socket.destroy());
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  // What the client still sends is read and thrown away: closing on unread bytes resets the connection under the answer.
  socket.resume();
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
