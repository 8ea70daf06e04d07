/**
 * A client of the control plane that checks every answer it gets against the OpenAPI description: status, media type, shape, and
 * the form of refusals. Any suite that talks through it tests the description as well.
 */
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { openapi } from "../../service/control/openapi.ts";

const withFormats = addFormats.default;

export interface ControlAnswer {
  status: number;
  headers: Headers;
  text: string;
  /** Parsed JSON; `undefined` for other media types. */
  json: Record<string, unknown>;
}

export interface ControlOptions {
  body?: unknown;
  /** Body exactly as it goes on the wire, instead of `body`. */
  raw?: string | Uint8Array<ArrayBuffer>;
  headers?: Record<string, string>;
  accept?: string;
}

type Node = Record<string, unknown>;

const description = openapi();
const ajv = new Ajv2020({ strict: false, allErrors: true });
withFormats(ajv);
ajv.addSchema(description, "openapi");

const pointer = (steps: readonly string[]): string =>
  steps.map((step) => `/${encodeURIComponent(step.replaceAll("~", "~0").replaceAll("/", "~1"))}`).join("");

function validator(steps: readonly string[]): ValidateFunction {
  const check = ajv.getSchema(`openapi#${pointer(steps)}`);
  if (!check) throw new Error(`the description has nothing at ${steps.join(" ")}`);
  return check as ValidateFunction;
}

function demand(steps: readonly string[], value: unknown, what: string): void {
  const check = validator(steps);
  if (check(value)) return;
  throw new Error(
    `${what} is not as described at ${steps.join(" ")}: ${ajv.errorsText(check.errors)}\n${JSON.stringify(value)}`,
  );
}

/** The path of the description that a request path is one of. */
function describedPath(path: string): string | null {
  const paths = Object.keys(description.paths as Node);
  const exact = paths.find((candidate) => candidate === path);
  const pattern = (text: string) => new RegExp(`^${text.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
  return exact ?? paths.find((candidate) => pattern(candidate).test(path)) ?? null;
}

/** Throws unless the answer is one that the description allows. */
export function checkAnswer(method: string, target: string, answer: ControlAnswer): void {
  const what = `${method} ${target} → ${answer.status}`;
  const media = (answer.headers.get("content-type") ?? "").split(";")[0]!;
  if (answer.status >= 400) checkRefusal(what, media, answer);
  const path = describedPath(target.split("?")[0]!);
  const operation = path && ((description.paths as Node)[path] as Node)[method.toLowerCase()];
  if (!path || !operation) {
    if (answer.status < 400) throw new Error(`${what}: answered, but the description does not have it`);
    return;
  }
  const content = ["paths", path, method.toLowerCase(), "responses", String(answer.status), "content", media];
  const described = content.reduce<unknown>((node, step) => (node as Node | undefined)?.[step], description);
  if (described === undefined) throw new Error(`${what}: the description has no such answer as ${media}`);
  if (media === "application/json") demand([...content, "schema"], answer.json, what);
  if (media === "application/x-ndjson") {
    for (const line of answer.text.split("\n").filter(Boolean))
      demand([...content, "x-line-schema"], JSON.parse(line), what);
  }
}

function checkRefusal(what: string, media: string, answer: ControlAnswer): void {
  if (media !== "application/json") throw new Error(`${what}: a refusal as ${media}: ${answer.text.slice(0, 200)}`);
  demand(["components", "schemas", "Error"], answer.json, what);
  const { code, message } = answer.json;
  if (answer.headers.get("x-keybrake-code") !== code)
    throw new Error(`${what}: x-keybrake-code is not ${String(code)}`);
  if (!String(message).startsWith(`${String(code)}: `))
    throw new Error(`${what}: the message does not begin with its code`);
}

export class ControlClient {
  readonly url: string;
  readonly #adminKey: string | null;

  /** @param adminKey `null`: no credential is sent. */
  constructor(url: string, adminKey: string | null) {
    this.url = url;
    this.#adminKey = adminKey;
  }

  async send(method: string, target: string, options: ControlOptions = {}): Promise<ControlAnswer> {
    const { body, raw, headers, accept } = options;
    const sent = raw ?? (body === undefined ? null : JSON.stringify(body));
    const response = await fetch(`${this.url}${target}`, {
      method,
      headers: {
        ...(this.#adminKey !== null && { authorization: `Bearer ${this.#adminKey}` }),
        ...(sent !== null && { "content-type": "application/json" }),
        ...(accept !== undefined && { accept }),
        ...headers,
      },
      ...(sent !== null && { body: sent }),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
    const answer: ControlAnswer = {
      status: response.status,
      headers: response.headers,
      text,
      json: (isJson && text !== "" ? JSON.parse(text) : {}) as Record<string, unknown>,
    };
    if (method !== "HEAD") checkAnswer(method, target, answer);
    return answer;
  }

  get(target: string, options: ControlOptions = {}): Promise<ControlAnswer> {
    return this.send("GET", target, options);
  }

  post(target: string, body?: unknown, options: ControlOptions = {}): Promise<ControlAnswer> {
    return this.send("POST", target, { ...options, ...(body !== undefined && { body }) });
  }

  delete(target: string, options: ControlOptions = {}): Promise<ControlAnswer> {
    return this.send("DELETE", target, options);
  }
}
