/** Clients that fire without pause at a vendor that keeps the order in which requests reach it; every request has a number of its own. */
import type { IssuedKey, RunningProxy } from "../support/proxy.ts";
import { type RawAnswer, RawSocket } from "../support/raw-socket.ts";
import { json, Upstream } from "../support/upstream.ts";

export interface Answered {
  n: number;
  answer: RawAnswer;
}

/** The answer to any request: a payment of $3.00, with the id of its request. */
export async function startRecordedVendor(): Promise<Upstream> {
  const vendor = await Upstream.start();
  vendor.otherwise = (socket, received) => {
    const n = numberOf(received.target, received.body);
    const intent = { id: `pi_${n}`, amount: 300, currency: "usd", status: "succeeded", amount_received: 300 };
    json(200, intent)(socket, received);
  };
  return vendor;
}

/** The number that a request carried, as the vendor got it. */
export function numberOf(target: string, body: string): number {
  const read = /\/v1\/customers\/cus_(\d+)$/.exec(target)?.[1];
  return Number(read ?? new URLSearchParams(body).get("metadata[n]"));
}

/** Numbers of all that reached the vendor, in their order. */
export const arrived = (vendor: Upstream): number[] =>
  vendor.received.map(({ target, body }) => numberOf(target, body));

/** A priced payment of $3.00 (`pay`) or a free read (`read`), as bytes. */
export function bytesOf(kind: "pay" | "read", key: IssuedKey, n: number): string {
  const credential = `authorization: Bearer ${key.vaultKey}`;
  if (kind === "read") return `GET /stripe/v1/customers/cus_${n} HTTP/1.1\r\nhost: p\r\n${credential}\r\n\r\n`;
  const body = `amount=300&currency=usd&metadata%5Bn%5D=${n}`;
  const head = `POST /stripe/v1/payment_intents HTTP/1.1\r\nhost: p\r\n${credential}`;
  return `${head}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/**
 * One client on one connection: it writes a request, reads its answer, and goes on while `more` says so.
 * @param next called right before the request's first byte is written.
 * @param more called as soon as an answer was read whole, and once before the first request.
 */
export async function fire(
  proxy: RunningProxy,
  next: () => { n: number; bytes: string },
  more: (last: Answered | null) => boolean | Promise<boolean>,
): Promise<void> {
  let client = await RawSocket.open(proxy.port);
  let last: Answered | null = null;
  while (await more(last)) {
    const { n, bytes } = next();
    client.send(bytes);
    const answer = await client.answer();
    if (!answer) throw new Error(`request ${n} got no answer`);
    last = { n, answer };
    if (client.closed) client = await RawSocket.open(proxy.port);
  }
  client.socket.destroy();
}

export function codeOf({ headers }: RawAnswer): string | undefined {
  return headers.get("x-keybrake-code");
}
