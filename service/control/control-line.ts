/**
 * One log line per request of the control plane, as `data/canonical-line.ts` has one per call. The list of fields is closed: no
 * credential, no body, no query. Whoever asks for `/health` asks often, so that is a line for debugging only.
 */
import type { NextFunction, Request, Response } from "express";
import { traceFields } from "../trace.ts";
import type { Principal } from "./principal.ts";
import { idShape } from "./read-input.ts";
import type { Answer, ControlDeps, Route } from "./route.ts";

/** What the line tells of a request beyond what Express knows. */
interface Told {
  route?: Route;
  params?: Readonly<Record<string, string | string[]>>;
  principal?: Principal;
  keyId?: string;
}

export function logRequests({ log, clock, traceProject }: ControlDeps) {
  return (request: Request, response: Response, next: NextFunction): void => {
    const startedAt = clock.now();
    response.once("close", () => {
      const { route, params = {}, principal, keyId } = response.locals as Told;
      const { traceparent, "x-cloud-trace-context": cloudTrace } = request.headers;
      const id = idsOf(request);
      const trace = { traceparent: one(traceparent), cloudTrace: one(cloudTrace) };
      const line = {
        ...traceFields(trace, traceProject ?? null),
        "logging.googleapis.com/labels": {
          key_id: id(params.key_id) ?? keyId,
          execution: id(params.execution),
        },
        endpoint: route && `${route.method.toUpperCase()} ${route.path}`,
        method: request.method,
        principal: principal?.by,
        job: id(params.job),
        call_id: id(params.call_id),
        code: response.getHeader("x-keybrake-code"),
        // The head was never sent: the caller left before its answer.
        status: response.headersSent ? response.statusCode : undefined,
        cut: !response.writableFinished || undefined,
        duration_ms: clock.now() - startedAt,
      };
      if (response.statusCode >= 500) log.warn(line, "control");
      else if (route?.path === "/health") log.debug(line, "control");
      else log.info(line, "control");
    });
    next();
  };
}

/** Called once the route is known: Express has forgotten its parameters when a refusal is answered. */
export function tellRoute({ params }: Request, response: Response, route: Route): void {
  Object.assign(response.locals, { route, params } satisfies Told);
}

/** The key that an answer is about, when the path does not name it. */
export function tellAnswer(response: Response, answer: Answer): void {
  if (!("json" in answer) || typeof answer.json !== "object" || answer.json === null) return;
  const { key_id: keyId } = answer.json as { key_id?: unknown };
  if (typeof keyId === "string") response.locals.keyId = keyId;
}

const one = (value: string | string[] | undefined): string | undefined =>
  typeof value === "string" ? value : undefined;

/** From here on a text may be a key that the caller also sent as its credential. */
const MIN_KEY_LENGTH = 20;

/** What has no id's form is not repeated, and neither is a credential that somebody wrote where an id belongs. */
function idsOf(request: Request) {
  const { authorization = "" } = request.headers;
  const secret = (text: string): boolean =>
    /^(?:vk|kb[ai]|[srp]k|re)_|^eyJ/.test(text) || (text.length >= MIN_KEY_LENGTH && authorization.includes(text));
  return (value: string | string[] | undefined): string | undefined =>
    typeof value === "string" && idShape.test(value) && !secret(value) ? value : undefined;
}
