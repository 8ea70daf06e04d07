/** A TCP hop that passes everything on, until it is told to cut: then the answer is lost on its way, as on a bad line. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Cutter {
  /** `http://127.0.0.1:PORT` of the hop. */
  url: string;
  port: number;
  /** The next `times` answers that arrive are dropped whole and their connections reset. */
  cutAnswers(times: number): void;
  /** The next `times` requests are dropped before a byte is passed on, and their connections reset. */
  cutRequests(times: number): void;
  /** Cuts made so far. */
  readonly cuts: number;
  stop(): Promise<void>;
}

export async function startCutter(target: string): Promise<Cutter> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let answers = 0;
  let requests = 0;
  let cuts = 0;

  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A reset is what this hop is for; whoever is at the other end sees it.
      socket.on("error", () => {});
      socket.once("close", () => sockets.delete(socket));
    }
    const cut = (): void => {
      cuts++;
      client.resetAndDestroy();
      upstream.destroy();
    };
    client.on("data", (chunk) => {
      if (requests === 0) {
        upstream.write(chunk);
        return;
      }
      requests--;
      cut();
    });
    upstream.on("data", (chunk) => {
      if (answers === 0) {
        client.write(chunk);
        return;
      }
      answers--;
      cut();
    });
    client.once("close", () => upstream.end());
    upstream.once("close", () => client.end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const own = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${own}`,
    port: own,
    cutAnswers: (times) => {
      answers = times;
    },
    cutRequests: (times) => {
      requests = times;
    },
    get cuts() {
      return cuts;
    },
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
