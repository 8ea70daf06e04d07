/**
 * Connections to the vendors: one pool per origin, HTTP/1.1, no redirects, no retries, paths as they are given.
 * The pools never queue: each call in flight may have a connection of its own.
 */
import { Pool } from "undici";
import type { Vendor, VendorMessage } from "../vendors/vendor.ts";
import { type Gate, type Reply, Sending } from "./forward.ts";
import type { Limits } from "./limits.ts";

const USER_AGENT = "keybrake";

export class Upstreams {
  readonly #limits: Limits;
  readonly #origins: ReadonlyMap<string, string>;
  readonly #pools = new Map<string, Pool>();

  constructor(limits: Limits, origins: ReadonlyMap<string, string>) {
    this.#limits = limits;
    this.#origins = origins;
  }

  /**
   * Sends one message, with the credential already in it.
   * @param ms how long it may take from now, connecting included.
   * @param gate asked right before the first byte; a refusal keeps the message from being sent.
   */
  send(vendor: Vendor, subdomain: string | null, message: VendorMessage, options: SendOptions): Promise<Reply> {
    const origin = this.originOf(vendor, subdomain);
    const sending = new Sending(this.#limits, options);
    const headers = ["user-agent", USER_AGENT, "accept-encoding", "identity"];
    for (const name in message.headers) {
      if (name !== "user-agent" && name !== "accept-encoding") headers.push(name, message.headers[name]!);
    }
    if (message.headers.accept === undefined) headers.push("accept", "application/json");
    this.#pool(origin).dispatch({ path: message.target, method: message.method, headers, body: message.body }, sending);
    return sending.reply;
  }

  /**
   * An origin of the operator's own takes every subdomain; else the vendor's first label is replaced
   * (`https://api.twilio.com`, `verify` → `https://verify.twilio.com`).
   */
  originOf(vendor: Vendor, subdomain: string | null): string {
    const own = this.#origins.get(vendor.id);
    if (own !== undefined) return own;
    if (subdomain === null) return vendor.upstream;
    if (!vendor.subdomains.includes(subdomain)) throw new Error(`${vendor.id} has no subdomain ${subdomain}`);
    const { protocol, host } = new URL(vendor.upstream);
    return `${protocol}//${subdomain}${host.slice(host.indexOf("."))}`;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.destroy()));
  }

  #pool(origin: string): Pool {
    const known = this.#pools.get(origin);
    if (known) return known;
    // Time bounds are ours (Sending): undici's own start only when the request is written, and restart with every chunk.
    const pool = new Pool(origin, {
      allowH2: false,
      connections: this.#limits.concurrency * 2,
      pipelining: 1,
      headersTimeout: 0,
      bodyTimeout: 0,
      maxHeaderSize: 16 * 1024,
      connect: { timeout: this.#limits.connectMs },
    });
    this.#pools.set(origin, pool);
    return pool;
  }
}

export interface SendOptions {
  ms: number;
  /** Hand the answer over at its head, and stream the body. */
  stream: boolean;
  gate: Gate | null;
  /** The whole request was handed to the socket. */
  onSent: (() => void) | null;
}
