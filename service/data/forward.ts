/**
 * One request to a vendor, and what became of it. What matters most is whether a byte was written: undici 8 calls
 * `onRequestStart` synchronously before it writes the request line (measured in test/data/forward.test.ts), so a request
 * that ends without that call provably never left.
 */
import type { Dispatcher } from "undici";
import type { Refusal } from "../errors.ts";
import type { Limits } from "./limits.ts";
import type { SendOptions } from "./upstreams.ts";

/** Asked in the turn in which the first byte goes out. */
export type Gate = () => Refusal | null;

export type Reply =
  /** No byte was written. */
  | { kind: "unsent"; reason: string }
  /** The gate was shut; no byte was written. */
  | { kind: "stopped"; refusal: Refusal }
  /** Something was written, and no status came back. */
  | { kind: "lost"; reason: string }
  | VendorReply;

export interface VendorReply {
  kind: "answer";
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  /** Whole, or what was read so far when there is a `rest`, or what came before it broke off (`cut`). */
  body: Buffer;
  cut: boolean;
  rest: Rest | null;
}

/** An answer's remaining body. */
export interface Rest {
  /** Starts the flow. `write` answers false to pause it; `resume` goes on. */
  pipe(sink: Sink): void;
  resume(): void;
  /** Nobody wants it. */
  cancel(): void;
}

export interface Sink {
  write(chunk: Buffer): boolean;
  /** `whole`: the answer came to its end. */
  end(whole: boolean): void;
}

/** Codes of failures that end up in the audit: a closed list, no text of the vendor's. */
const known = new Set(["ECONNREFUSED", "ECONNRESET", "ENOTFOUND", "EAI_AGAIN", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH"]);

function reasonOf(error: Error): string {
  const code = (error as { code?: unknown }).code;
  if (code === "UND_ERR_CONNECT_TIMEOUT") return "connect_timeout";
  if (code === "UND_ERR_SOCKET") return "connection_closed";
  if (typeof code !== "string") return "failed";
  if (known.has(code)) return code.toLowerCase();
  if (code.startsWith("HPE_")) return "bad_answer";
  return code.includes("TLS") || code.includes("CERT") || code.includes("SSL") ? "tls" : "failed";
}

export class Sending implements Dispatcher.DispatchHandler, Rest {
  readonly reply: Promise<Reply>;
  readonly #limits: Limits;
  readonly #options: SendOptions;
  readonly #timer: NodeJS.Timeout;
  #resolve!: (reply: Reply) => void;
  #answered = false;
  #controller: Dispatcher.DispatchController | null = null;
  #status = 0;
  #headers: Record<string, string> = {};
  #chunks: Buffer[] = [];
  #size = 0;
  #sink: Sink | null = null;
  #ended: "whole" | "cut" | null = null;

  constructor(limits: Limits, options: SendOptions) {
    this.#limits = limits;
    this.#options = options;
    this.reply = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#timer = setTimeout(() => this.#fail("timeout"), options.ms);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Too late, or undici would send it a second time: neither may happen.
    if (this.#answered || this.#controller) {
      controller.abort(new Error("not sent again"));
      return;
    }
    const refusal = this.#options.gate?.() ?? null;
    if (refusal) {
      this.#answer({ kind: "stopped", refusal });
      clearTimeout(this.#timer);
      controller.abort(refusal);
      return;
    }
    this.#controller = controller;
  }

  onRequestSent(): void {
    this.#options.onSent?.();
  }

  onResponseStart(_: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    if (status < 200) return;
    this.#status = status;
    for (const name in headers) {
      const value = headers[name];
      if (value !== undefined) this.#headers[name] = typeof value === "string" ? value : value.join(", ");
    }
    if (this.#options.stream) this.#handOver();
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length;
    if (this.#sink) {
      if (this.#size > this.#limits.streamBytes) this.#fail("answer_too_large");
      else if (!this.#sink.write(chunk)) controller.pause();
      return;
    }
    this.#chunks.push(chunk);
    if (!this.#answered && this.#size > this.#limits.answerBytes) this.#handOver();
  }

  onResponseEnd(): void {
    this.#finish("whole");
  }

  onResponseError(_: unknown, error: Error): void {
    if (this.#controller) this.#finish("cut", reasonOf(error));
    else this.#unsent(reasonOf(error));
  }

  pipe(sink: Sink): void {
    for (const chunk of this.#chunks.splice(0)) sink.write(chunk);
    this.#sink = sink;
    if (this.#ended) sink.end(this.#ended === "whole");
    else this.#controller?.resume();
  }

  resume(): void {
    this.#controller?.resume();
  }

  cancel(): void {
    this.#sink = null;
    this.#fail("not_wanted");
  }

  /** The head is enough, or the body is too much to wait for: the caller goes on and takes the rest later. */
  #handOver(): void {
    this.#controller?.pause();
    const body = Buffer.concat(this.#chunks.splice(0), this.#size);
    this.#answer({ kind: "answer", status: this.#status, headers: this.#headers, body, cut: false, rest: this });
  }

  #finish(how: "whole" | "cut", reason = ""): void {
    if (this.#ended) return;
    this.#ended = how;
    clearTimeout(this.#timer);
    if (this.#answered) {
      this.#sink?.end(how === "whole");
      return;
    }
    if (this.#status === 0) {
      this.#answer({ kind: "lost", reason: reason || "no_answer" });
      return;
    }
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks, this.#size);
    const cut = how === "cut";
    this.#answer({ kind: "answer", status: this.#status, headers: this.#headers, body, cut, rest: null });
  }

  #unsent(reason: string): void {
    clearTimeout(this.#timer);
    this.#answer({ kind: "unsent", reason });
  }

  #fail(reason: string): void {
    if (this.#ended) return;
    if (this.#controller) {
      const controller = this.#controller;
      this.#finish("cut", reason);
      controller.abort(new Error(reason));
    } else this.#unsent(reason);
  }

  #answer(reply: Reply): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#resolve(reply);
  }
}
