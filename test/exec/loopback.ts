/** Servers on loopback that answer as they are told: the metadata server of a task, and a scripted proxy. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Reply =
  | { status: number; body?: string | object; headers?: Record<string, string> }
  /** The connection ends without an answer. */
  | "reset"
  /** No answer as long as the test goes on. */
  | "silence"
  /** Less comes than the head says. */
  | "cut";

export interface Loopback {
  url: string;
  /** `127.0.0.1:PORT`. */
  host: string;
  /** `METHOD target`, in the order of arrival. */
  asked: string[];
  /** Of the last request. */
  headers: IncomingMessage["headers"];
  /** The next replies, one each; then the usual one again. */
  next(...replies: Reply[]): void;
  close(): Promise<void>;
}

export async function serve(usual: (request: IncomingMessage) => Reply): Promise<Loopback> {
  const replies: Reply[] = [];
  const server = createServer((request, response) => {
    loopback.asked.push(`${request.method} ${request.url}`);
    loopback.headers = request.headers;
    request.resume();
    answer(request, response, replies.shift() ?? usual(request));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const loopback: Loopback = {
    url: `http://${host}`,
    host,
    asked: [],
    headers: {},
    next: (...more) => void replies.push(...more),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return loopback;
}

function answer(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  if (reply === "silence") return;
  if (reply === "reset") return void request.socket.destroy();
  if (reply === "cut") {
    response.writeHead(200, { "content-length": 1000 });
    response.write("{", () => request.socket.destroy());
    return;
  }
  const { status, body = "", headers = {} } = reply;
  const json = typeof body !== "string";
  response.writeHead(status, { "content-type": json ? "application/json" : "text/plain", ...headers });
  response.end(json ? JSON.stringify(body) : body);
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Formed like an ID token; its signature is none. */
export const tokenOf = (email: string, audience: string): string =>
  `${part({ alg: "RS256" })}.${part({ email, aud: audience })}.c2lnbmF0dXJl`;

/** A task's metadata server: its account's ID token for any audience, to who sends the header that Google demands. */
export function serveMetadata(email: string): Promise<Loopback> {
  return serve(({ url = "", headers, method }) => {
    const { pathname, searchParams } = new URL(url, "http://metadata");
    const path = "/computeMetadata/v1/instance/service-accounts/default/identity";
    const audience = searchParams.get("audience");
    if (method !== "GET" || pathname !== path || searchParams.get("format") !== "full") return { status: 404 };
    if (headers["metadata-flavor"] !== "Google") return { status: 403, body: "Missing Metadata-Flavor:Google header." };
    if (!audience) return { status: 400, body: "non-empty audience parameter required" };
    return { status: 200, body: `${tokenOf(email, audience)}\n` };
  });
}

const vaultKey = `vk_1_${"a".repeat(26)}_${"b".repeat(43)}`;

/** What a proxy answers to a claim for a job with Stripe. */
export const claimed = {
  key_id: "a".repeat(26),
  vault_key: vaultKey,
  run_id: "run-1",
  variables: [
    { name: "KEYBRAKE_VAULT_KEY", kind: "credential", value: vaultKey },
    { name: "KEYBRAKE_KEY_ID", kind: "text", value: "a".repeat(26) },
    { name: "KEYBRAKE_RUN_ID", kind: "text", value: "run-1" },
    { name: "STRIPE_SECRET_KEY", kind: "credential", value: vaultKey },
    { name: "STRIPE_API_BASE", kind: "path", value: "" },
    { name: "RESEND_BASE_URL", kind: "path", value: "/resend" },
  ],
};
