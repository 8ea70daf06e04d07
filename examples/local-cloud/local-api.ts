/**
 * A loopback server that stands in for some of Google's APIs. Each API is a function that answers the requests that are its own.
 * Limit: it proves that our side speaks the documented shapes, not that Google's answers are these.
 */
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface LocalRequest {
  method: string;
  /** Decoded path without the query. */
  path: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** Parsed JSON; `undefined` when there was no body. */
  body: unknown;
}

export type LocalAnswer =
  | { status: number; json: unknown; headers?: Record<string, string> }
  | { status: number; text: string; headers?: Record<string, string> }
  /** The connection ends without an answer. */
  | { reset: true };

/** @returns `null` when the request is not one of this API. */
export type LocalApi = (request: LocalRequest) => Promise<LocalAnswer | null>;

export interface LocalServer {
  /** `http://127.0.0.1:PORT`. */
  url: string;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 1 << 20;

export async function serveLocalApis(apis: readonly LocalApi[]): Promise<LocalServer> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<LocalAnswer> => {
      const parts: Buffer[] = [];
      let length = 0;
      for await (const part of request) {
        parts.push(part as Buffer);
        length += (part as Buffer).length;
        if (length > MAX_BODY_BYTES) return googleError(413, "the body is too large");
      }
      const url = new URL(request.url ?? "/", "http://local");
      const text = Buffer.concat(parts).toString("utf8");
      const local: LocalRequest = {
        method: request.method ?? "GET",
        path: decodeURIComponent(url.pathname),
        query: url.searchParams,
        headers: request.headers,
        body: text === "" ? undefined : JSON.parse(text),
      };
      for (const api of apis) {
        const found = await api(local);
        if (found) return found;
      }
      return googleError(404, `nothing answers ${local.method} ${local.path} here`);
    };
    answer()
      .catch((error: unknown) => googleError(500, error instanceof Error ? error.message : String(error)))
      .then((given) => {
        if ("reset" in given) {
          request.socket.destroy();
          return;
        }
        const text = "json" in given ? `${JSON.stringify(given.json)}\n` : given.text;
        const type = "json" in given ? "application/json; charset=UTF-8" : "text/plain; charset=UTF-8";
        response.writeHead(given.status, { "content-type": type, ...given.headers });
        response.end(text);
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const statusNames: Record<number, string> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ALREADY_EXISTS",
  413: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE",
};

/** An error in Google's JSON (https://cloud.google.com/apis/design/errors, read 2026-11). */
export function googleError(code: number, message: string): LocalAnswer {
  return { status: code, json: { error: { code, message, status: statusNames[code] ?? "UNKNOWN" } } };
}
