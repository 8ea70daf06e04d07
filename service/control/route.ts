/**
 * One route: what it takes, what it answers, and the function that does it. `control.ts` serves the routes, `openapi.ts`
 * describes them; neither knows more of a route than this.
 */
import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Gate } from "../audit/gate.ts";
import type { Clock } from "../clock.ts";
import type { Code } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Logger } from "../log.ts";
import type { Policies } from "../policies/policies.ts";
import type { Setup } from "../setup/setup.ts";
import type { Store } from "../stores/store.ts";
import type { VaultKeys } from "../vault-key.ts";
import type { Vendor } from "../vendors/vendor.ts";
import type { Issuers } from "./issuers.ts";
import type { Authenticate, Permission, Principal } from "./principal.ts";

/** What a reconciliation did: how many calls it settled, released and left unknown, and whatever else it counts. */
export interface Reconciled {
  settled: number;
  released: number;
  unknown: number;
  [more: string]: unknown;
}

/** What the control plane asks of a vendor: enough to check a budget. */
export type BudgetVendor = Pick<Vendor, "id" | "endpoints" | "ownsPath" | "checkAllowed">;

export interface ControlDeps {
  ledger: Ledger;
  store: Store;
  /** By id; a vendor that is not here does not exist. */
  vendors: ReadonlyMap<string, BudgetVendor>;
  vaultKeys: VaultKeys;
  clock: Clock;
  log: Logger;
  /** How long after a key's end its calls and records are kept; `null`: the store forgets nothing. */
  retentionMs: number | null;
  authenticate: readonly Authenticate[];
  /** `null`: this proxy has none, so only the admin key counts. */
  policies: Policies | null;
  issuers: Issuers;
  reconcile(): Promise<Reconciled>;
  /** `null`: this proxy has no policies, so it launches no jobs. */
  setup: Setup | null;
  /** Google Cloud project of the traces; without it the trace's bare id is logged. */
  traceProject?: string | null;
}

export interface RouteDeps extends ControlDeps {
  /** Bounds the long answers. */
  gate: Gate;
}

export interface ControlRequest<Query, Body> {
  principal: Principal;
  /** Path parameters, each of `[A-Za-z0-9_-]`. */
  params: Readonly<Record<string, string>>;
  query: Query;
  body: Body;
  /** First acceptable media type of the route's answers. */
  accept: string;
  /** Names in lower case. */
  headers: IncomingHttpHeaders;
}

export type Answer =
  | { status: number; json: unknown; headers?: Record<string, string> }
  /** Writes head and body itself, page by page. */
  | { stream(response: ServerResponse): Promise<void> };

export interface AnswerShape {
  description: string;
  schema: z.ZodType;
  /** Other media types: shape of one line (NDJSON), or `null` for plain text. */
  also?: Record<string, z.ZodType | null>;
}

export interface RouteSpec<Query extends z.ZodType, Body extends z.ZodType> {
  operationId: string;
  method: "get" | "post" | "delete";
  /** OpenAPI's form: `/vault/keys/{key_id}`. */
  path: string;
  summary: string;
  /** `null`: anybody, without a credential. */
  may: Permission | null;
  query: Query;
  body: Body;
  /** A request without a body counts as `{}`. */
  bodyOptional?: boolean;
  answers: Record<number, AnswerShape>;
  /** Codes that this route adds to those every route may answer. */
  codes: readonly Code[];
  handle(request: ControlRequest<z.output<Query>, z.output<Body>>, deps: RouteDeps): Promise<Answer>;
}

/** A route whose types of query and body are closed over. */
export interface Route extends Omit<RouteSpec<z.ZodType, z.ZodType>, "handle"> {
  handle(request: ControlRequest<unknown, unknown>, deps: RouteDeps): Promise<Answer>;
}

/** Ties a route's handler to what its schemas give. */
export function route<Query extends z.ZodType, Body extends z.ZodType>(spec: RouteSpec<Query, Body>): Route {
  return {
    ...spec,
    handle: (request, deps) =>
      // The two casts are sound: control.ts hands over exactly what these schemas returned.
      spec.handle(request as ControlRequest<z.output<Query>, z.output<Body>>, deps),
  };
}
