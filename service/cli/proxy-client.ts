/** The control plane over HTTP, as the commands see it: JSON objects, or a failure in one sentence. */
import { type ConnectionOptions, type Credential, credential, proxyUrl } from "./connection.ts";
import { CommandFailure } from "./failure.ts";
import type { Surroundings } from "./surroundings.ts";

export type Fields = Record<string, unknown>;
export type Query = Record<string, string | number | undefined>;

/** Reconciling asks vendors page after page, so it may take its time. */
const TIMEOUT_MS = 120_000;
/** A stream of lines goes on as long as the chain is. */
const STREAM_TIMEOUT_MS = 3_600_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const MAX_LINE_CHARACTERS = 1024 * 1024;

function queryText(query: Query): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
  return parameters.size > 0 ? `?${parameters}` : "";
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export class ProxyClient {
  readonly #base: string;
  readonly #credential: Credential;
  readonly #fetch: typeof fetch;

  private constructor(url: URL, held: Credential, fetching: typeof fetch) {
    this.#base = url.href.replace(/\/$/, "");
    this.#credential = held;
    this.#fetch = fetching;
  }

  /** Throws `UsageFailure` when the options and variables name no proxy or no credential. */
  static async open(around: Surroundings, options: ConnectionOptions): Promise<ProxyClient> {
    return new ProxyClient(proxyUrl(around, options), await credential(around, options), around.fetch);
  }

  get(path: string, query: Query = {}): Promise<Fields> {
    return this.#request("GET", `${path}${queryText(query)}`);
  }

  post(path: string, body?: Fields): Promise<Fields> {
    return this.#request("POST", path, body);
  }

  delete(path: string, query: Query = {}): Promise<Fields> {
    return this.#request("DELETE", `${path}${queryText(query)}`);
  }

  /** The objects of an NDJSON answer, as they arrive. */
  async *lines(path: string, query: Query = {}): AsyncGenerator<Fields> {
    const response = await this.#send("GET", `${path}${queryText(query)}`, "application/x-ndjson");
    if (!response.ok || !response.body) {
      this.#read(response.status, await this.#guarded(bounded(response)));
      throw new CommandFailure(`the proxy answered ${response.status} without lines: is it of another version?`);
    }
    const decoder = new TextDecoder();
    let rest = "";
    const parts = response.body[Symbol.asyncIterator]();
    for (;;) {
      const part = await this.#guarded(parts.next());
      const text = rest + (part.done ? decoder.decode() : decoder.decode(part.value, { stream: true }));
      const lines = text.split("\n");
      rest = part.done ? "" : (lines.pop() ?? "");
      if (rest.length > MAX_LINE_CHARACTERS) throw new CommandFailure("the proxy sent a line over 1 MiB: check --url");
      for (const line of lines) if (line !== "") yield parseLine(line);
      if (part.done) return;
    }
  }

  async #request(method: string, target: string, body?: Fields): Promise<Fields> {
    const response = await this.#send(method, target, "application/json", body);
    return this.#read(response.status, await this.#guarded(bounded(response)));
  }

  #send(method: string, target: string, accept: string, body?: Fields): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#credential.text}`, accept };
    if (body) headers["content-type"] = "application/json";
    return this.#guarded(
      this.#fetch(`${this.#base}${target}`, {
        method,
        headers,
        body: body ? JSON.stringify(body) : null,
        redirect: "error",
        signal: AbortSignal.timeout(accept === "application/x-ndjson" ? STREAM_TIMEOUT_MS : TIMEOUT_MS),
      }),
    );
  }

  /** A failure of the connection in one sentence. */
  async #guarded<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (error instanceof CommandFailure) throw error;
      throw new CommandFailure(unreachable(this.#base, error));
    }
  }

  #read(status: number, answer: string): Fields {
    let value: unknown;
    try {
      value = JSON.parse(answer);
    } catch {
      value = undefined;
    }
    if (!isFields(value))
      throw new CommandFailure(
        `${this.#base} answered ${status} without a JSON object, so it is no Keybrake proxy: check --url`,
      );
    if (status < 400) return value;
    const message = typeof value.message === "string" ? value.message : `the proxy answered ${status}`;
    if (value.code !== "unauthenticated") throw new CommandFailure(message);
    throw new CommandFailure(`${message.replace(/[.\s]*$/, "")}: ${this.#credential.advice} ${this.#base}.`);
  }
}

function parseLine(line: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    value = undefined;
  }
  if (isFields(value)) return value;
  throw new CommandFailure("the proxy's answer was cut, or is no NDJSON: try again");
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES)
      throw new CommandFailure("the proxy's answer is over 64 MiB: ask for less with --limit, --since or --label");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function unreachable(base: string, error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  const { code, name, message } = cause as NodeJS.ErrnoException;
  if (name === "TimeoutError") return `the proxy at ${base} did not answer in time: try again`;
  return `no proxy answers at ${base} (${code ?? message}): start one with \`keybrake serve\`, or set KEYBRAKE_URL or --url`;
}
