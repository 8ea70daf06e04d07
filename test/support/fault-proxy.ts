/**
 * A hop between the client library and Firestore's emulator that harms connections at chosen places of a request's life. It reads
 * the frames of HTTP/2, so that a place is what it says; whose request it is it does not know.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { FrameScanner, type Mark } from "./http2-frames.ts";

export const places = [
  /** No byte of the request has gone on. */
  "before_request",
  "in_request",
  /** The request has gone on to its last byte; nobody knows whether it was read. */
  "request_sent",
  /** It was carried out: the answer was about to come. */
  "answer_lost",
  "in_answer",
  /** The answer has gone on to its last byte. */
  "answered",
] as const;
export type Place = (typeof places)[number];

export const harms = [
  /** Both sides get a reset. */
  "reset",
  /** Both sides get an end. */
  "end",
  /** Requests go on, and no answer comes back. */
  "deaf",
  /** Nothing goes on either way, and nobody is told. */
  "void",
  /** The server's side is gone, and the client is not told. */
  "half_open",
  /** Nothing goes on for a while. */
  "stall",
] as const;
export type Harm = (typeof harms)[number];

export interface Fault {
  place: Place;
  harm: Harm;
  /** So many requests pass this place unharmed before. Default 0. */
  after?: number;
}

export interface FaultProxy {
  /** `127.0.0.1:PORT`, as FIRESTORE_EMULATOR_HOST takes it. */
  readonly host: string;
  /** Faults that have happened. */
  readonly happened: readonly Fault[];
  /** The next fault, instead of one that still waits for its place. */
  arm(fault: Fault): void;
  /** Nothing waits any more; connections that fell silent are reset, as a router does in the end. */
  heal(): void;
  /** Resets all connections and refuses new ones, until {@link FaultProxy.accept}. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  /** All connections, new ones too, fall silent: bytes vanish either way. Those that did stay so until they are closed or reset. */
  swallow(on: boolean): void;
  stop(): Promise<void>;
}

export interface FaultProxyOptions {
  /** How long a `stall` lasts, ms. Default 100. */
  stallMs?: number;
  /** All bytes come so much later, each way, ms. Default 0: at once. */
  latencyMs?: number;
}

type Way = "requests" | "answers";

const placeOf: Record<Way, Record<Mark["what"], Place>> = {
  requests: { headers: "before_request", data: "in_request", end: "request_sent" },
  answers: { headers: "answer_lost", data: "in_answer", end: "answered" },
};

/** @param target `HOST:PORT` of the emulator. */
export async function startFaultProxy(target: string, options: FaultProxyOptions = {}): Promise<FaultProxy> {
  const { hostname, port } = new URL(`http://${target}`);
  const lines = new Set<Line>();
  const happened: Fault[] = [];
  let armed: Required<Fault> | null = null;
  let swallowing = false;
  const due = (place: Place): Harm | null => {
    if (armed?.place !== place) return null;
    armed.after -= 1;
    if (armed.after >= 0) return null;
    const { harm } = armed;
    happened.push({ place, harm });
    armed = null;
    return harm;
  };
  const serve = (client: Socket): void => {
    const line = new Line(client, connect(Number(port), hostname), due, options);
    lines.add(line);
    if (swallowing) line.harm("void");
    client.once("close", () => lines.delete(line));
  };
  let server: Server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
  const own = (server.address() as AddressInfo).port;
  const refuse = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    for (const line of lines) line.harm("reset");
    await closed;
  };
  return {
    host: `127.0.0.1:${own}`,
    happened,
    arm: (fault) => {
      armed = { after: 0, ...fault };
    },
    heal: () => {
      armed = null;
      for (const line of lines) if (line.silent) line.harm("reset");
    },
    refuse,
    accept: async () => {
      server = createServer(serve).listen(own, "127.0.0.1");
      await once(server, "listening");
    },
    swallow: (on) => {
      swallowing = on;
      if (on) for (const line of lines) line.harm("void");
    },
    stop: refuse,
  };
}

/** One connection and what became of it. */
class Line {
  silent = false;
  readonly #client: Socket;
  readonly #upstream: Socket;
  readonly #due: (place: Place) => Harm | null;
  readonly #options: FaultProxyOptions;
  readonly #lost: Record<Way, boolean> = { requests: false, answers: false };
  #held: (() => void)[] | null = null;

  constructor(client: Socket, upstream: Socket, due: (place: Place) => Harm | null, options: FaultProxyOptions) {
    this.#client = client;
    this.#upstream = upstream;
    this.#due = due;
    this.#options = options;
    for (const socket of [client, upstream]) {
      socket.setNoDelay(true);
      // Resets are what this hop is for; whoever is at the other end sees them.
      socket.on("error", () => {});
    }
    this.#carry("requests", client, upstream);
    this.#carry("answers", upstream, client);
  }

  harm(harm: Harm): void {
    switch (harm) {
      case "reset":
        this.#client.resetAndDestroy();
        this.#upstream.resetAndDestroy();
        return;
      case "end":
        this.#client.end();
        this.#upstream.end();
        this.#lost.requests = this.#lost.answers = true;
        return;
      case "deaf":
        this.silent = this.#lost.answers = true;
        return;
      case "void":
      case "half_open":
        this.silent = this.#lost.requests = this.#lost.answers = true;
        if (harm === "half_open") this.#upstream.resetAndDestroy();
        return;
      case "stall":
        this.#held = [];
        setTimeout(() => this.#goOn(), this.#options.stallMs ?? 100);
    }
  }

  #goOn(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const pass of held) pass();
  }

  #carry(way: Way, from: Socket, to: Socket): void {
    const scanner = new FrameScanner(way);
    const { latencyMs = 0 } = this.#options;
    const pass = (chunk: Buffer): void => this.#write(to, way, chunk);
    from.on("data", (chunk: Buffer) => {
      let done = 0;
      for (const { at, what } of scanner.feed(chunk)) {
        const harm = this.#due(placeOf[way][what]);
        if (harm === null) continue;
        pass(chunk.subarray(done, at));
        done = at;
        if (harm === "reset" || harm === "end" || harm === "half_open") {
          this.#lost[way] = true;
          // What was let through must be on its way before its connection is broken.
          setImmediate(() => this.harm(harm));
        } else this.harm(harm);
      }
      if (latencyMs > 0) setTimeout(pass, latencyMs, chunk.subarray(done));
      else pass(chunk.subarray(done));
    });
    from.once("close", () => {
      if (!this.silent) to.end();
    });
  }

  #write(to: Socket, way: Way, chunk: Buffer): void {
    if (this.#lost[way] || chunk.length === 0 || to.writableEnded) return;
    if (this.#held) this.#held.push(() => this.#write(to, way, chunk));
    else to.write(chunk);
  }
}
