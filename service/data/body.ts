/** Reads the request's body whole, within its bound, or refuses it. */
import { Refusal } from "../errors.ts";
import { ClientGone, type Exchange } from "./exchange.ts";

const empty = Buffer.alloc(0);

/** Throws `body_too_large`, `request_invalid` (bad framing; 408 when too slow), {@link ClientGone}. */
export function readBody(exchange: Exchange, maxBytes: number): Buffer | Promise<Buffer> {
  if (!exchange.carriesBody) return empty;
  const { request } = exchange;
  if (request.method === "GET" || request.method === "HEAD") {
    throw new Refusal("request_invalid", `a ${request.method} request carries no body here`);
  }
  const length = Number(request.headers["content-length"] ?? 0);
  if (length > maxBytes) throw tooLarge(maxBytes);
  if (exchange.expectsContinue) {
    exchange.expectsContinue = false;
    exchange.response.writeContinue();
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const done = (): void => {
      exchange.broken = null;
      request.removeAllListeners("data").removeListener("end", end).removeListener("close", gone);
    };
    const fail = (error: Error): void => {
      done();
      reject(error);
    };
    const end = (): void => {
      done();
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, size));
    };
    const gone = (): void => fail(new ClientGone("the client left while it sent its body"));
    exchange.broken = fail;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) fail(tooLarge(maxBytes));
      else chunks.push(chunk);
    });
    request.on("end", end).on("close", gone).on("error", gone);
  });
}

const tooLarge = (maxBytes: number) =>
  new Refusal("body_too_large", `the body is over ${maxBytes} bytes, the bound of this operation`);

/**
 * Throws the rest of a refused request's body away, so that the client gets to read its answer: a connection that is
 * closed on unread bytes is reset, and the answer with it. Beyond `maxBytes` it is cut all the same.
 */
export function discardBody(exchange: Exchange, maxBytes: number): void {
  const { request } = exchange;
  if (request.complete || request.destroyed) return;
  let size = 0;
  request.on("error", () => {});
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > maxBytes) request.destroy();
  });
  request.resume();
}
