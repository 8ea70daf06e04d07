/** An HTTP hop in front of a vendor that answers 500 when told so, before or after the vendor has acted. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** `unsent`: 500, the vendor never saw the request; `acted`: the vendor has done it, and its answer became a 500. */
export type Failure = "unsent" | "acted";

export interface FailingHop {
  url: string;
  /** What happens to the next POSTs; then all pass. */
  fail(failures: readonly Failure[]): void;
  stop(): Promise<void>;
}

const body500 = JSON.stringify({ error: { type: "api_error", message: "An unknown error occurred" } });

export async function startFailingHop(target: string): Promise<FailingHop> {
  let failures: Failure[] = [];
  const server = createServer((request, response) => {
    void pass(request, response).catch((error: unknown) => response.destroy(error as Error));
  });

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const failure = request.method === "POST" ? failures.shift() : undefined;
    if (failure === "unsent") return fail500(response);
    const headers = new Headers();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === "string" && !["host", "connection", "content-length", "transfer-encoding"].includes(name)) {
        headers.set(name, value);
      }
    }
    const answer = await fetch(target + request.url, {
      method: request.method ?? "GET",
      headers,
      body: chunks.length > 0 ? Buffer.concat(chunks) : null,
    });
    const body = Buffer.from(await answer.arrayBuffer());
    if (failure === "acted") return fail500(response);
    const replayed = answer.headers.get("idempotent-replayed");
    response.writeHead(answer.status, {
      "content-type": answer.headers.get("content-type") ?? "application/json",
      ...(replayed !== null && { "idempotent-replayed": replayed }),
    });
    response.end(body);
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    fail: (next) => {
      failures = [...next];
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function fail500(response: ServerResponse): void {
  response.writeHead(500, { "content-type": "application/json" });
  response.end(body500);
}
