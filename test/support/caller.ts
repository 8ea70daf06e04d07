/** A client of the data plane that sends forms as SDKs do, over a bounded number of kept connections, and never retries. */
import { Agent, type IncomingHttpHeaders, request } from "node:http";

export interface CallAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  json: Record<string, unknown>;
}

export type Form = Record<string, string | number>;

export class Caller {
  readonly #agent: Agent;
  readonly #url: URL;

  constructor(url: string, sockets: number) {
    this.#url = new URL(url);
    this.#agent = new Agent({ keepAlive: true, maxSockets: sockets });
  }

  post(target: string, vaultKey: string, form: Form, headers: Record<string, string> = {}): Promise<CallAnswer> {
    const body = new URLSearchParams();
    for (const [name, value] of Object.entries(form)) body.append(name, String(value));
    return this.#send("POST", target, vaultKey, body.toString(), headers);
  }

  get(target: string, vaultKey: string): Promise<CallAnswer> {
    return this.#send("GET", target, vaultKey, null, {});
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Rejects when the connection ends before the whole answer is there. */
  #send(
    method: string,
    path: string,
    vaultKey: string,
    body: string | null,
    more: Record<string, string>,
  ): Promise<CallAnswer> {
    const { hostname, port } = this.#url;
    const form =
      body === null
        ? {}
        : { "content-type": "application/x-www-form-urlencoded", "content-length": String(Buffer.byteLength(body)) };
    const headers = { authorization: `Bearer ${vaultKey}`, ...form, ...more };
    return new Promise((resolve, reject) => {
      const sent = request({ hostname, port, method, path, headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          if (!response.complete) reject(new Error("the answer was cut"));
          else resolve({ status: response.statusCode!, headers: response.headers, text, json: parse(text) });
        });
      });
      sent.on("error", reject);
      sent.end(body ?? undefined);
    });
  }
}

function parse(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** Runs `work` for 0 … count − 1, at most `atOnce` at one time. */
export async function inParallel(count: number, atOnce: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const n = next;
      next += 1;
      await work(n);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, atOnce) }, worker));
}
