/** A client on a bare socket: it sends any bytes, and reads answers without a library's opinion of them. */
import { connect, type Socket } from "node:net";

export interface RawAnswer {
  status: number;
  /** Lower-case names. */
  headers: Map<string, string>;
  body: Buffer;
  /** The body came to the end that its framing promised. */
  whole: boolean;
}

export class RawSocket {
  readonly socket: Socket;
  /** The peer has ended or reset the connection. */
  closed = false;
  #bytes: Buffer = Buffer.alloc(0);
  #wake: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    const wake = (): void => {
      for (const resume of this.#wake.splice(0)) resume();
    };
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      wake();
    });
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.closed = true;
        wake();
      });
    }
  }

  static open(port: number): Promise<RawSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, "127.0.0.1", () => resolve(new RawSocket(socket)));
      socket.once("error", reject);
    });
  }

  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  }

  /** The next final answer; `100 Continue` is skipped. `null`: the connection ended without one. */
  async answer(): Promise<RawAnswer | null> {
    for (;;) {
      const read = readAnswer(this.#bytes, this.closed);
      if (read) {
        this.#bytes = this.#bytes.subarray(read.length);
        if (read.answer.status >= 200) return read.answer;
        continue;
      }
      if (this.closed) return null;
      await this.#more();
    }
  }

  /** Resolves with what came in, when the connection ends. */
  async untilClosed(): Promise<Buffer> {
    while (!this.closed) await this.#more();
    return this.#bytes;
  }

  /** Leaves at once, with a reset. */
  leave(): void {
    this.socket.resetAndDestroy();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }
}

function readAnswer(bytes: Buffer, closed: boolean): { answer: RawAnswer; length: number } | null {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line = "", ...fields] = bytes.toString("latin1", 0, end).split("\r\n");
  const headers = new Map(
    fields.map((field) => [
      field.slice(0, field.indexOf(":")).toLowerCase(),
      field.slice(field.indexOf(":") + 1).trim(),
    ]),
  );
  const status = Number(line.split(" ")[1]);
  const from = end + 4;
  const done = (body: Buffer, length: number, whole: boolean) => ({ answer: { status, headers, body, whole }, length });
  if (status < 200 || status === 204) return done(Buffer.alloc(0), from, true);
  if (headers.get("transfer-encoding") === "chunked") return readChunks(bytes, from, closed, done);
  const wanted = Number(headers.get("content-length") ?? 0);
  const whole = bytes.length >= from + wanted;
  if (!whole && !closed) return null;
  const stop = Math.min(bytes.length, from + wanted);
  return done(bytes.subarray(from, stop), stop, whole);
}

type Done = (body: Buffer, length: number, whole: boolean) => { answer: RawAnswer; length: number };

function readChunks(bytes: Buffer, from: number, closed: boolean, done: Done): ReturnType<Done> | null {
  const parts: Buffer[] = [];
  for (let at = from; ; ) {
    const line = bytes.indexOf("\r\n", at);
    const size = line < 0 ? Number.NaN : Number.parseInt(bytes.toString("latin1", at, line), 16);
    if (size === 0) return done(Buffer.concat(parts), line + 4, true);
    const stop = line + 2 + size;
    if (Number.isNaN(size) || bytes.length < stop + 2) {
      if (!closed) return null;
      if (!Number.isNaN(size)) parts.push(bytes.subarray(line + 2));
      return done(Buffer.concat(parts), bytes.length, false);
    }
    parts.push(bytes.subarray(line + 2, stop));
    at = stop + 2;
  }
}
