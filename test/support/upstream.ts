/**
 * A programmable vendor on loopback, on bare sockets: it keeps what it got byte for byte, and answers, cuts, resets or falls
 * silent as a test says. Not a model of any vendor; the proxy's bytes are what it is for.
 */

import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";

export interface Received {
  /** Everything of this request as it arrived, head and body. */
  raw: string;
  method: string;
  target: string;
  /** Lower-case names. */
  headers: Map<string, string>;
  body: string;
}

/** What the vendor does with one request; the socket is its own to write to or break. */
export type Behaviour = (socket: Socket, received: Received) => void;

export class Upstream {
  readonly received: Received[] = [];
  /** Acts on the first bytes of a request, before it is whole. Return true to take the connection over. */
  onBytes: ((socket: Socket) => boolean) | null = null;
  /** Used when no `next` is queued. */
  otherwise: Behaviour = json(200, {
    id: "pi_1",
    object: "payment_intent",
    amount: 4000,
    currency: "usd",
    status: "succeeded",
    amount_received: 4000,
  });
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #queue: Behaviour[] = [];
  #waiting: (() => void)[] = [];

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<Upstream> {
    const upstream = new Upstream();
    await new Promise<void>((resolve) => upstream.#server.listen(0, "127.0.0.1", resolve));
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Behaviours for the next requests, in their order. */
  next(...behaviours: Behaviour[]): void {
    this.#queue.push(...behaviours);
  }

  /** Drops the queued behaviours that no request has used. */
  forget(): void {
    this.#queue.length = 0;
  }

  /** Resolves when `count` requests have come in whole. */
  async whenReceived(count: number): Promise<void> {
    while (this.received.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket)).on("error", () => {});
    let bytes = Buffer.alloc(0);
    let taken = false;
    socket.on("data", (chunk: Buffer) => {
      if (taken) return;
      if (this.onBytes?.(socket)) {
        taken = true;
        return;
      }
      bytes = Buffer.concat([bytes, chunk]);
      for (let read = readRequest(bytes); read; read = readRequest(bytes)) {
        bytes = bytes.subarray(read.length);
        this.received.push(read.received);
        for (const resume of this.#waiting.splice(0)) resume();
        (this.#queue.shift() ?? this.otherwise)(socket, read.received);
      }
    });
  }
}

function readRequest(bytes: Buffer): { received: Received; length: number } | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line = "", ...fields] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = new Map(
    fields.map((field) => [
      field.slice(0, field.indexOf(":")).toLowerCase(),
      field.slice(field.indexOf(":") + 1).trim(),
    ]),
  );
  const length = end + 4 + Number(headers.get("content-length") ?? 0);
  if (bytes.length < length) return null;
  const [method = "", target = ""] = line.split(" ");
  const body = bytes.toString("utf8", end + 4, length);
  return { received: { raw: bytes.toString("latin1", 0, length), method, target, headers, body }, length };
}

const reason = "Status";

/** A whole answer with a JSON body. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Behaviour {
  return text(status, JSON.stringify(body), { "content-type": "application/json", ...headers });
}

export function text(status: number, body: string | Buffer, headers: Record<string, string> = {}): Behaviour {
  return (socket) => {
    const bytes = Buffer.from(body);
    socket.write(
      Buffer.concat([Buffer.from(head(status, { ...headers, "content-length": String(bytes.length) })), bytes]),
    );
  };
}

/** Chunked, each part in a write and a packet of its own. */
export function chunked(
  status: number,
  parts: readonly (string | Buffer)[],
  headers: Record<string, string> = {},
): Behaviour {
  return (socket) => {
    socket.setNoDelay(true);
    socket.write(head(status, { ...headers, "transfer-encoding": "chunked" }));
    let i = 0;
    const step = (): void => {
      const part = parts[i++];
      if (part === undefined) {
        socket.write("0\r\n\r\n");
        return;
      }
      const bytes = Buffer.from(part);
      socket.write(Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from("\r\n")]), () =>
        setImmediate(step),
      );
    };
    step();
  };
}

/** The head and half of the body, then a reset. */
export function cut(status: number, half: string): Behaviour {
  return (socket) => {
    socket.write(
      `${head(status, { "content-type": "application/json", "content-length": String(half.length * 2) })}${half}`,
      () => setImmediate(() => socket.resetAndDestroy()),
    );
  };
}

/** Bytes as they are, then the connection stays as it is. */
export function bytes(raw: string): Behaviour {
  return (socket) => socket.write(raw, "latin1");
}

export const reset: Behaviour = (socket) => socket.resetAndDestroy();
export const close: Behaviour = (socket) => socket.end();
/** Never answers. */
export const silence: Behaviour = () => {};

/** Answers when the test says so. */
export function held(then: Behaviour): { behaviour: Behaviour; letGo: () => void } {
  let open: () => void = () => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { behaviour: (socket, received) => void gate.then(() => then(socket, received)), letGo: () => open() };
}

function head(status: number, headers: Record<string, string>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join("")}\r\n`;
}
