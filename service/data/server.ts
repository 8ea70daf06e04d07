/**
 * The one listening server: control plane behind its reserved words, data plane for all else. What Node would answer by itself
 * with an empty body is answered as JSON of the catalogue, or the connection is closed.
 */
import { type IncomingMessage, Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { Refusal } from "../errors.ts";
import type { Logger } from "../log.ts";
import { reservedWords } from "../reserved-words.ts";
import type { DataPlane } from "./data-plane.ts";
import type { Exchange } from "./exchange.ts";
import type { Limits } from "./limits.ts";
import { answerRaw, refusalOf } from "./raw-answer.ts";

export interface ServerOptions {
  data: DataPlane;
  /** An Express app, or any request listener. */
  control: (request: IncomingMessage, response: ServerResponse) => void;
  log: Logger;
  limits: Limits;
  clock: Clock;
}

/** Connections over the limit that are told so; more are dropped. */
const TURNED_AWAY = 64;
const CHECK_MS = 1_000;
/** A socket on which nothing moves for this long after the upstream's own bound is dead. */
const SILENCE_MARGIN_MS = 40_000;

interface Open {
  request: IncomingMessage;
  response: ServerResponse;
  /** `null`: the control plane has it. */
  exchange: Exchange | null;
}

export function createServer(options: ServerOptions): ProxyServer {
  return new ProxyServer(options);
}

export class ProxyServer extends Server {
  readonly #options: ServerOptions;
  /** The last request of each connection. */
  readonly #open = new WeakMap<Duplex, Open>();
  readonly #told = new WeakSet<Duplex>();
  readonly #turnedAway = new WeakSet<Duplex>();
  readonly #sockets = new Set<Socket>();

  constructor(options: ServerOptions) {
    const { limits, log } = options;
    super({
      requireHostHeader: false,
      insecureHTTPParser: false,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.keepAliveMs,
      connectionsCheckingInterval: CHECK_MS,
      noDelay: true,
    });
    this.#options = options;
    // 0: no header is dropped silently; their bytes are bounded.
    this.maxHeadersCount = 0;
    this.maxConnections = limits.connections + TURNED_AWAY;
    this.timeout = limits.upstreamMs + SILENCE_MARGIN_MS;
    this.on("connection", (socket: Socket) => this.#count(socket));
    this.on("drop", () => log.warn({ connections: this.#sockets.size }, "a connection was dropped"));
    this.on("request", (request: IncomingMessage, response: ServerResponse) =>
      this.#dispatch(request, response, false),
    );
    this.on("checkContinue", (request: IncomingMessage, response: ServerResponse) =>
      this.#dispatch(request, response, true),
    );
    this.on("checkExpectation", (request: IncomingMessage, response: ServerResponse) => {
      response.on("error", ignore);
      this.#tell(
        request.socket,
        new Refusal("request_invalid", "the only Expect taken is 100-continue", { status: 417 }),
      );
    });
    const noTunnel = (_: IncomingMessage, socket: Duplex): void =>
      this.#tell(socket, new Refusal("request_invalid", "CONNECT and protocol upgrades are not taken here"));
    this.on("connect", noTunnel);
    this.on("upgrade", noTunnel);
    this.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => this.#unreadable(error, socket));
  }

  /**
   * Stops accepting, lets what is in flight finish for at most `ms`, then cuts what is left.
   * @returns how many calls were still in flight; their outcomes are the ledger's to find out.
   */
  async stop(ms: number): Promise<number> {
    const { data, clock } = this.#options;
    const until = clock.now() + ms;
    data.draining = true;
    const closed = new Promise<void>((resolve) => this.close(() => resolve()));
    // Node takes a connection on which nothing was ever asked for a busy one.
    for (const socket of this.#sockets) if (!this.#open.has(socket)) socket.destroy();
    const left = await data.idle(ms);
    const late = new AbortController();
    this.closeIdleConnections();
    const rest = clock.delay(Math.max(0, until - clock.now()), late.signal).catch(ignore);
    await Promise.race([closed, rest]);
    late.abort();
    this.closeAllConnections();
    return left;
  }

  #dispatch(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const { data, control } = this.#options;
    const { socket } = request;
    if (this.#turnedAway.has(socket)) {
      this.#tell(socket, new Refusal("overloaded", "the proxy holds as many connections as it may; try again"));
      return;
    }
    if (reservedWords.has(firstSegment(request.url ?? ""))) {
      this.#open.set(socket, { request, response, exchange: null });
      if (data.draining) response.shouldKeepAlive = false;
      if (expectsContinue) response.writeContinue();
      control(request, response);
      return;
    }
    const exchange = data.exchange(request, response, expectsContinue);
    this.#open.set(socket, { request, response, exchange });
    void data.serve(exchange);
  }

  #count(socket: Socket): void {
    this.#sockets.add(socket);
    if (this.#sockets.size > this.#options.limits.connections) this.#turnedAway.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  /** The connection's last words; what the client sends behind them is no longer looked at. */
  #tell(socket: Duplex, refusal: Refusal): void {
    if (this.#told.has(socket)) return;
    this.#told.add(socket);
    answerRaw(socket, refusal);
  }

  /** What the parser cannot read, or what comes too slowly. A call under way on the connection is answered all the same. */
  #unreadable(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (this.#told.has(socket)) return;
    if (socket.destroyed || !socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const open = this.#open.get(socket);
    if (!open || open.response.writableFinished) {
      this.#tell(socket, refusalOf(error));
      return;
    }
    if (!open.response.headersSent) open.response.shouldKeepAlive = false;
    if (open.request.complete) open.response.once("finish", () => socket.destroy());
    else if (open.exchange?.broken) open.exchange.broken(refusalOf(error));
    else if (open.response.headersSent) socket.destroy();
    else this.#tell(socket, refusalOf(error));
  }
}

/** Of the target as received: `/vault/keys?x` → `vault`. An absolute URL has none. */
function firstSegment(url: string): string {
  if (url.charCodeAt(0) !== 47) return "";
  let end = 1;
  while (end < url.length && url.charCodeAt(end) !== 47 && url.charCodeAt(end) !== 63) end += 1;
  return url.slice(1, end);
}

function ignore(): void {}
