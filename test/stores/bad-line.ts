/** A TCP hop that passes everything on until it is told otherwise: it can cut at any byte, hold everything back, or not be there. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export interface BadLine {
  /** `127.0.0.1:PORT` of the hop. */
  readonly host: string;
  /** Resets made so far. */
  readonly cuts: number;
  /** The connection on which so many more bytes have passed this way is reset, with the rest of them lost. */
  cutAfter(way: "requests" | "answers", bytes: number): void;
  /** Holds back what is sent either way, until {@link BadLine.release}. */
  hold(): void;
  release(): void;
  /** Resets all connections, and refuses new ones. */
  down(): Promise<void>;
  /** Takes connections again. */
  up(): Promise<void>;
  stop(): Promise<void>;
}

/** @param target `HOST:PORT` of what is behind it. */
export async function startBadLine(target: string): Promise<BadLine> {
  const { hostname, port } = new URL(`http://${target}`);
  const sockets = new Set<Socket>();
  let cut: { way: "requests" | "answers"; bytes: number } | null = null;
  let held: (() => void)[] | null = null;
  let cuts = 0;

  const serve = (client: Socket): void => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A reset is what this hop is for; whoever is at the other end sees it.
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
    }
    const pass = (way: "requests" | "answers", chunk: Buffer, to: Socket): void => {
      if (cut?.way !== way) {
        to.write(chunk);
        return;
      }
      cut.bytes -= chunk.length;
      if (cut.bytes >= 0) {
        to.write(chunk);
        return;
      }
      const rest = chunk.subarray(0, chunk.length + cut.bytes);
      cut = null;
      cuts += 1;
      // What was let through arrives; the other side learns of the end as of a line that broke.
      to.write(rest, () => to.end());
      (to === client ? upstream : client).resetAndDestroy();
    };
    const on = (way: "requests" | "answers", from: Socket, to: Socket): void => {
      from.on("data", (chunk) => {
        if (held) held.push(() => pass(way, chunk, to));
        else pass(way, chunk, to);
      });
      from.once("close", () => to.end());
    };
    on("requests", client, upstream);
    on("answers", upstream, client);
  };

  let server: Server = createServer(serve).listen(0, "127.0.0.1");
  await once(server, "listening");
  const own = (server.address() as AddressInfo).port;
  const down = async (): Promise<void> => {
    const closed = server.listening ? once(server, "close") : null;
    server.close();
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  return {
    host: `127.0.0.1:${own}`,
    get cuts() {
      return cuts;
    },
    cutAfter: (way, bytes) => {
      cut = { way, bytes };
    },
    hold: () => {
      held ??= [];
    },
    release: () => {
      const waiting = held ?? [];
      held = null;
      for (const pass of waiting) pass();
    },
    down,
    up: async () => {
      server = createServer(serve).listen(own, "127.0.0.1");
      await once(server, "listening");
    },
    stop: down,
  };
}
