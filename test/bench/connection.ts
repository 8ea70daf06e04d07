/**
 * One keep-alive connection that sends ready-made requests and reads whole answers, with as little work as possible:
 * the load generator shares the machine's cores with what it measures.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** @param status HTTP status; 0 when the connection ended before the answer did. */
export type OnAnswer = (status: number, body: () => string) => void;

const HEAD_END = Buffer.from("\r\n\r\n");
const CHUNKS_END = Buffer.from("\r\n0\r\n\r\n");

export class Connection {
  readonly #url: URL;
  #socket!: Socket;
  #received: Buffer | null = null;
  #onAnswer: OnAnswer | null = null;

  private constructor(url: URL) {
    this.#url = url;
  }

  static async open(url: URL): Promise<Connection> {
    const connection = new Connection(url);
    await once(connection.#connect(), "connect");
    return connection;
  }

  #connect(): Socket {
    const socket = connect({ host: this.#url.hostname, port: Number(this.#url.port) });
    socket.setNoDelay(true);
    socket.on("data", (bytes) => this.#take(bytes));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      if (socket === this.#socket) this.#finish(0, Buffer.alloc(0));
    });
    this.#socket = socket;
    return socket;
  }

  /** At most one request at a time. */
  send(request: string, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer;
    if (this.#socket.destroyed) this.#finish(0, Buffer.alloc(0));
    else this.#socket.write(request, "latin1");
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    const all = this.#received ? Buffer.concat([this.#received, bytes]) : bytes;
    const headEnd = all.indexOf(HEAD_END);
    if (headEnd >= 0) {
      const head = all.toString("latin1", 0, headEnd);
      const length = /\r\ncontent-length: *(\d+)/i.exec(head);
      const bodyStart = headEnd + HEAD_END.length;
      const whole = length
        ? all.length >= bodyStart + Number(length[1])
        : all.subarray(all.length - CHUNKS_END.length).equals(CHUNKS_END);
      if (whole) {
        this.#received = null;
        // A server that keeps no connection gets a new one for the next call.
        if (/\r\nconnection: *close/i.test(head)) {
          const old = this.#socket;
          this.#connect();
          old.destroy();
        }
        this.#finish(Number(head.slice(9, 12)), all.subarray(bodyStart));
        return;
      }
    }
    this.#received = all;
  }

  #finish(status: number, body: Buffer): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = null;
    onAnswer?.(status, () => body.toString());
  }
}
