/** A connector, compiled into the {@link Vendor} that the data plane, the reconciler and the command line use. */
import { Refusal } from "../errors.ts";
import { allowsPath, checkEntry } from "./allow-list.ts";
import { invalid, sameJson } from "./codec/limits.ts";
import type { Connector } from "./connector.ts";
import { errorShape } from "./error-shape.ts";
import { type Context, expressionCompiler } from "./expressions.ts";
import { type CompiledLookUp, compileLookUp, lookUpPlan, priceOf } from "./look-up.ts";
import { money, type Rates } from "./money-functions.ts";
import { checkSegment, fillTarget, matchesNever, matchTemplate, parseNever } from "./paths.ts";
import { quoteContext, quoteOf, verdictOf } from "./price-call.ts";
import { type BodyCodec, bodyCodec, parseRequest } from "./request.ts";
import {
  type CompiledOutcome,
  type CompiledRule,
  checkRequirements,
  compileFree,
  compileOutcomes,
  compileRule,
  foundContext,
  isObject,
  requestContext,
  subdomainOf,
} from "./rule.ts";
import type { Json, JsonObject, Operation, Quote, Vendor, VendorMessage, VendorRequest } from "./vendor.ts";

export interface CompileOptions {
  /** Dated rates of currencies other than usd. Default: none, so that only usd is taken. */
  rates?: Rates;
  /** Milliseconds since the epoch; rates age by it. */
  now: () => number;
}

interface Compiled {
  connector: Connector;
  codec: BodyCodec;
  rules: CompiledRule[];
  byShape: Map<string, CompiledRule[]>;
  byEndpoint: Map<string, { rule: CompiledRule; lookUp: CompiledLookUp | null }>;
  outcomes: Map<CompiledRule, CompiledOutcome[]>;
}

/** Compiles a checked connector. Throws an `Error` that names the place for whatever does not fit together. */
export function compileConnector(connector: Connector, options: CompileOptions): Vendor {
  const compiled = compileRules(connector, options);
  const { codec, byEndpoint } = compiled;
  const ruleOf = (operation: Operation) => byEndpoint.get(operation.endpoint)!.rule;
  const contextOf = (operation: Operation, request: VendorRequest, found: Json | undefined): Context => {
    const rule = ruleOf(operation);
    return { ...requestContext(rule, request, operation.params, codec.textOnly), found: foundContext(rule, found) };
  };
  const shape = errorShape(connector);
  const keys = keyPatterns(connector);
  const life = (connector.idempotency?.lifeHours ?? 0) * 3_600_000;
  return {
    id: connector.id,
    upstream: connector.upstream,
    subdomains: connector.subdomains,
    headerNames: headerNames(connector),
    idempotencyHeader: connector.idempotency?.header ?? null,
    idempotencyLifeMs: life,
    credentialHeader: connector.credential.type === "header" ? connector.credential.header : "authorization",
    endpoints: compiled.rules.map(({ endpoint, kind }) => ({ endpoint, kind })),
    ownsPath: (segments) => connector.bare.includes(`/${segments[0] ?? ""}`),
    checkAllowed: (entry) => checkEntry(entry, compiled.rules, connector.id),
    allows: (entries, operation) => allowsPath(entries, ruleOf(operation), segmentsOf(connector, operation)),
    find: finder(compiled),
    parse(operation, input) {
      const rule = ruleOf(operation);
      const request = parseRequest(connector, codec, rule, operation, input);
      if (rule.require.length > 0)
        checkRequirements(rule, requestContext(rule, request, operation.params, codec.textOnly));
      return request;
    },
    lookupTarget(operation, request) {
      const { lookup } = ruleOf(operation);
      if (lookup.length === 0) return null;
      const context = contextOf(operation, request, undefined);
      const read = lookup.find((each) => each.when === null || each.when.run(context) === true);
      return read ? fillTarget(read.target, (name) => operation.params[name] ?? textOf(request.body[name])) : null;
    },
    quote(operation, request, found, assumeMicros) {
      const rule = ruleOf(operation);
      if (rule.kind === "free") return quoteOf(rule, {}, null);
      const context = contextOf(operation, request, found);
      const quote = quoteOf(rule, context, assumeMicros);
      // Looked at before anything is reserved: a client's own text in a pinned field must be the pin's.
      pinned(rule, request.body, { ...context, quote: quoteContext(quote) }, codec, null);
      return quote;
    },
    encode: (operation, request, quote, tags) =>
      encode(compiled, ruleOf(operation), operation, request, quote, tags, contextOf),
    authorise: (message, secret) => authorise(connector, message, secret),
    accountOf: (secret) => (connector.account ? (secret.split(":")[0] ?? null) : null),
    judge(operation, request, quote, found, answer) {
      const rule = ruleOf(operation);
      return verdictOf(rule, compiled.outcomes.get(rule)!, quote, () => contextOf(operation, request, found), answer);
    },
    replayed: (answer) => {
      const header = connector.idempotency?.replayHeader;
      return header !== undefined && answer.headers[header]?.toLowerCase() === "true";
    },
    keyMadeBy: (key) =>
      keys.sdk.some((each) => each.test(key)) ? "sdk" : keys.maybe.some((each) => each.test(key)) ? "maybe" : "client",
    errorBody: shape,
    reconcile(endpoint, path, facts) {
      const known = byEndpoint.get(endpoint);
      const params = known && matchTemplate(known.rule.path, path.slice(1).split("/"));
      if (!known?.lookUp || !params) return null;
      return lookUpPlan(known.rule, known.lookUp, params, facts, connector.scopedHeaders);
    },
    priceTarget(endpoint, path, objectId) {
      const known = byEndpoint.get(endpoint);
      const params = known && matchTemplate(known.rule.path, path.slice(1).split("/"));
      if (!known?.lookUp?.price || !params) return null;
      const target = fillTarget(known.lookUp.price.target, (name) =>
        name === "id" ? objectId : (params[name] ?? null),
      );
      return { target, subdomain: known.rule.subdomain };
    },
    price(endpoint, answer) {
      const price = byEndpoint.get(endpoint)?.lookUp?.price;
      return price ? priceOf(price, answer) : null;
    },
  };
}

function compileRules(connector: Connector, options: CompileOptions): Compiled {
  const compile = expressionCompiler(connector, money(options.rates ?? {}, connector.currencies, options.now));
  const common = compileOutcomes(connector.outcomes, compile, connector.id);
  const compiled: Compiled = {
    connector,
    codec: bodyCodec(connector.body),
    rules: [],
    byShape: new Map(),
    byEndpoint: new Map(),
    outcomes: new Map(),
  };
  const add = (rule: CompiledRule, lookUp: CompiledLookUp | null) => {
    if (compiled.byEndpoint.has(rule.endpoint)) throw new Error(`${connector.id}: \`${rule.endpoint}\` is there twice`);
    compiled.rules.push(rule);
    compiled.byEndpoint.set(rule.endpoint, { rule, lookUp });
    compiled.outcomes.set(rule, [...rule.outcomes, ...common]);
    const shape = `${rule.method} ${rule.template.length}`;
    compiled.byShape.set(shape, [...(compiled.byShape.get(shape) ?? []), rule].sort(literalsFirst));
  };
  for (const rule of connector.rules)
    add(compileRule(rule, connector, compile), compileLookUp(rule, connector, compile));
  for (const free of connector.free) add(compileFree(free, connector, compile), null);
  const never = connector.never.map(parseNever);
  for (const rule of compiled.rules) {
    const literal = rule.path.map((part) => (part.literal ?? `x${part.suffix}`).toLowerCase());
    if (never.some((each) => matchesNever(each, rule.method, literal)))
      throw new Error(`${connector.id}: \`${rule.endpoint}\` is on the connector's own never-list`);
  }
  return compiled;
}

/** `/v1/charges/search` before `/v1/charges/{id}`. */
function literalsFirst(a: CompiledRule, b: CompiledRule): number {
  for (const [index, part] of a.template.entries()) {
    const difference = Number(part.literal === null) - Number(b.template[index]?.literal === null);
    if (difference !== 0) return difference;
  }
  return 0;
}

function finder({ connector, rules, byShape }: Compiled): Vendor["find"] {
  const never = connector.never.map(parseNever);
  const host = new URL(connector.upstream).hostname;
  const literal = literalOperations(rules);
  return (method, given) => {
    const known = literal.get(`${method} /${given.join("/")}`);
    if (known) return known;
    // Some clients name the host in the path; the upstream's own name says nothing new.
    const segments = given[0] === host ? given.slice(1) : given;
    if (segments.length === 0 || !segments.every(checkSegment))
      throw invalid("the path has a segment that is not taken");
    const bare = subdomainOf(connector, segments[0]!) === null ? segments : segments.slice(1);
    const folded = bare.map((segment) => segment.toLowerCase());
    const shown = `\`${method} /${segments.join("/").slice(0, 160)}\``;
    if (never.some((each) => matchesNever(each, method, folded))) {
      throw new Refusal(
        "endpoint_not_allowed",
        `${shown} is never forwarded: it can hand out credentials or reach around the cap`,
      );
    }
    for (const rule of byShape.get(`${method} ${segments.length}`) ?? []) {
      const params = matchTemplate(rule.template, segments);
      if (params) return operationOf(rule, params, `/${bare.join("/")}`);
    }
    throw new Refusal("endpoint_unpriced", `no rule of ${connector.id} names ${shown}`);
  };
}

/** Endpoints without parameters, ready to be looked up; none of them is on the never-list (checked at load). */
function literalOperations(rules: CompiledRule[]): Map<string, Operation> {
  const literal = rules.filter((rule) => rule.template.every((part) => part.literal !== null));
  return new Map(
    literal.map((rule) => [
      rule.endpoint,
      Object.freeze(operationOf(rule, {}, `/${rule.path.map((part) => part.literal).join("/")}`)),
    ]),
  );
}

function operationOf(rule: CompiledRule, params: Record<string, string>, path: string): Operation {
  return {
    kind: rule.kind,
    endpoint: rule.endpoint,
    method: rule.method,
    path,
    subdomain: rule.subdomain,
    params,
    maxBodyBytes: rule.maxBodyBytes,
    idempotent: rule.idempotent,
    shield: rule.kind === "priced" || rule.method !== "GET",
    stream: rule.kind === "free" && rule.method === "GET",
  };
}

function segmentsOf(connector: Connector, operation: Operation): string[] {
  const segments = operation.path.slice(1).split("/");
  if (operation.subdomain === null) return segments;
  const host = new URL(connector.upstream).hostname;
  return [`${operation.subdomain}${host.slice(host.indexOf("."))}`, ...segments];
}

function headerNames(connector: Connector): string[] {
  const names = [...connector.headers.map(({ name }) => name), ...connector.scopedHeaders];
  return connector.idempotency ? [...names, connector.idempotency.header] : names;
}

function keyPatterns(connector: Connector): { sdk: RegExp[]; maybe: RegExp[] } {
  const read = (list: string[]) => list.map((each) => new RegExp(`^(?:${each})$`));
  return { sdk: read(connector.generatedKeys.sdk), maybe: read(connector.generatedKeys.maybe) };
}

function textOf(value: Json | undefined): string | null {
  return typeof value === "string" ? value : null;
}

/** The body with the rule's pins. `tags`: `null` before the call is reserved, when its id is not known yet. */
function pinned(
  rule: CompiledRule,
  body: JsonObject,
  context: Context,
  codec: BodyCodec,
  tags: { callId: string; vendorKey: string } | null,
): JsonObject {
  let out = body;
  for (const pin of rule.pins) {
    if (pin.tagged && !tags) continue;
    const known: Context = tags ? { ...context, call: { id: tags.callId, key: tags.vendorKey } } : context;
    if (pin.when && pin.when.run(known) !== true) continue;
    const value = pin.value.run(known);
    const plain = codec.textOnly || typeof value !== "bigint" ? String(value) : Number(value);
    out = withField(out, pin.field, plain);
  }
  return out;
}

function withField(body: JsonObject, [name = "", ...rest]: string[], value: string | number): JsonObject {
  const held = Object.hasOwn(body, name) ? body[name] : undefined;
  if (rest.length === 0) {
    if (held !== undefined && String(held) !== String(value))
      throw invalid(`\`${name}\` must be ${value} here, as it was priced`);
    return { ...body, [name]: value };
  }
  if (held !== undefined && !isObject(held)) throw invalid(`\`${name}\` must be a map here`);
  return { ...body, [name]: withField(held ?? {}, rest, value) };
}

function encode(
  compiled: Compiled,
  rule: CompiledRule,
  operation: Operation,
  request: VendorRequest,
  quote: Quote,
  tags: { callId: string; vendorKey: string },
  contextOf: (operation: Operation, request: VendorRequest, found: Json | undefined) => Context,
): VendorMessage {
  const { connector, codec } = compiled;
  const headers: Record<string, string> = {
    accept: "application/json",
    "accept-encoding": "identity",
    ...request.headers,
  };
  if (rule.idempotent && connector.idempotency) headers[connector.idempotency.header] = tags.vendorKey;
  const query = codec.encodeQuery(request.query);
  const target = query === "" ? operation.path : `${operation.path}?${query}`;
  if (rule.method === "GET") return { method: rule.method, target, headers, body: null };
  const context =
    rule.pins.length === 0 ? {} : { ...contextOf(operation, request, undefined), quote: quoteContext(quote) };
  const body = pinned(rule, request.body, context, codec, tags);
  const root = rule.list === null ? body : body[rule.list]!;
  const text = codec.encode(root);
  if (!sameJson(codec.parse(text, codec.mediaType, { depth: 16, fields: rule.maxFields + 32 }), root)) {
    throw invalid("the body changes when it is encoded again");
  }
  headers["content-type"] = codec.contentType;
  return { method: rule.method, target, headers, body: Buffer.from(text, "utf8") };
}

function authorise(connector: Connector, message: VendorMessage, secret: string): VendorMessage {
  const { credential } = connector;
  if (credential.type === "header")
    return { ...message, headers: { ...message.headers, [credential.header]: `${credential.prefix}${secret}` } };
  const value =
    credential.type === "bearer"
      ? `Bearer ${secret}`
      : `Basic ${Buffer.from(secret.includes(":") ? secret : `${secret}:`).toString("base64")}`;
  return { ...message, headers: { ...message.headers, authorization: value } };
}
