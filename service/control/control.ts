/**
 * The control plane: an Express app that serves the routes of `routes/`. Every answer is JSON (or what the route streams), and
 * every refusal is one of the catalogue, whatever went wrong before a route was reached.
 */
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import { Gate } from "../audit/gate.ts";
import { Refusal } from "../errors.ts";
import { answerRefusal, asRefusal } from "./answer-refusal.ts";
import { logRequests, tellAnswer, tellRoute } from "./control-line.ts";
import { authenticate, demand } from "./principal.ts";
import { idShape, MAX_BODY_BYTES, readBody, readQuery } from "./read-input.ts";
import type { Answer, ControlDeps, Route, RouteDeps } from "./route.ts";
import { routes } from "./routes.ts";

/** Headers that decide something here, so each may be sent once only. */
const singleHeaders = new Set([
  "authorization",
  "content-type",
  "content-length",
  "content-encoding",
  "accept",
  "x-cloudscheduler-jobname",
  "x-cloudscheduler-scheduletime",
]);

/** Exports, proofs and summaries at one time. */
const MAX_LONG_ANSWERS = 4;

export function buildControl(given: ControlDeps): Express {
  const deps: RouteDeps = { ...given, gate: new Gate(MAX_LONG_ANSWERS) };
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.enable("case sensitive routing");
  app.enable("strict routing");
  app.set("query parser", false);

  app.use(logRequests(deps));
  app.use(everyAnswer);
  for (const route of routes) {
    if (route.may === null) app[route.method](expressPath(route), serve(route, deps));
  }
  app.use(principalOf(deps));
  app.use(express.raw({ type: () => true, limit: MAX_BODY_BYTES, inflate: false }));
  for (const route of routes) {
    if (route.may !== null) app[route.method](expressPath(route), serve(route, deps));
  }
  app.use(noRoute);
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => {
    const refusal = asRefusal(error);
    if (!(error instanceof Refusal) && refusal.status >= 500) deps.log.error({ err: error }, "control plane failed");
    answerRefusal(response, refusal);
  });
  return app;
}

const expressPath = (route: Route): string => route.path.replace(/\{(\w+)\}/g, ":$1");

function everyAnswer(request: Request, response: Response, next: NextFunction): void {
  response.setHeader("cache-control", "no-store");
  response.setHeader("x-content-type-options", "nosniff");
  const seen = new Set<string>();
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index]!.toLowerCase();
    if (seen.has(name) && singleHeaders.has(name)) {
      throw new Refusal("request_invalid", `the header ${name} was sent twice; send it once`);
    }
    seen.add(name);
  }
  next();
}

function principalOf(deps: RouteDeps) {
  return async (request: Request, response: Response, next: NextFunction) => {
    response.locals.principal = await authenticate(request.headers.authorization, deps.authenticate);
    next();
  };
}

function serve(route: Route, deps: RouteDeps) {
  const types = [
    ...new Set(
      Object.values(route.answers).flatMap((answer) => ["application/json", ...Object.keys(answer.also ?? {})]),
    ),
  ];
  return async (request: Request, response: Response): Promise<void> => {
    tellRoute(request, response, route);
    const principal = response.locals.principal;
    if (route.may !== null) demand(principal, route.may);
    const params: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.params)) {
      if (typeof value !== "string" || !idShape.test(value)) throw new Refusal("not_found", `there is no such ${name}`);
      params[name] = value;
    }
    const accept = request.accepts(types);
    if (accept === false) {
      throw new Refusal(
        "media_type_unsupported",
        `this route answers ${types.join(", ")}; send one of them as Accept`,
        {
          status: 406,
        },
      );
    }
    const bytes: unknown = request.body;
    const body =
      route.may === null
        ? {}
        : readBody(
            route.body,
            Buffer.isBuffer(bytes) ? bytes : Buffer.alloc(0),
            request.headers["content-type"],
            route.bodyOptional ?? route.method !== "post",
          );
    const query = readQuery(route.query, request.url);
    const answer = await route.handle({ principal, params, query, body, accept, headers: request.headers }, deps);
    tellAnswer(response, answer);
    await send(response, answer);
  };
}

async function send(response: Response, answer: Answer): Promise<void> {
  if ("stream" in answer) return answer.stream(response);
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(`${JSON.stringify(answer.json)}\n`);
}

/** Nothing matched: another method of a known path is 405 with the methods that exist, all else 404. */
function noRoute(request: Request, response: Response): void {
  const path = request.path;
  const methods = routes
    .filter((route) => new RegExp(`^${route.path.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`).test(path))
    .map((route) => route.method.toUpperCase());
  if (methods.length === 0) {
    throw new Refusal("not_found", "there is no such route; GET /openapi.json lists all");
  }
  response.setHeader("allow", methods.join(", "));
  throw new Refusal("not_found", `this path takes ${methods.join(" and ")} only`, { status: 405 });
}
