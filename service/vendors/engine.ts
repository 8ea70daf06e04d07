/** A connector, compiled into the {@link Vendor} that the data plane, the reconciler and the command line use. */
import { allowsPath, checkEntry } from "./allow-list.ts";
import { type BodyCodec, bodyCodec } from "./body-codec.ts";
import { type CompiledLookUp, compileLookUp, factsOf } from "./compile-look-up.ts";
import { compileFree, compileOutcomes, compileRule } from "./compile-rule.ts";
import type { Connector } from "./connector.ts";
import { authorise, encode, pinned } from "./encode.ts";
import { errorShape } from "./error-shape.ts";
import { type Context, expressionCompiler } from "./expressions.ts";
import { finder, literalsFirst, segmentsOf } from "./find-operation.ts";
import { lookUpPlan, priceOf } from "./look-up.ts";
import { money, type Rates } from "./money-functions.ts";
import { fillTarget, matchesNever, matchTemplate, parseNever } from "./paths.ts";
import { quoteContext, quoteOf, verdictOf } from "./price-call.ts";
import { parseRequest } from "./request.ts";
import { type CompiledOutcome, type CompiledRule, checkRequirements, foundContext, requestContext } from "./rule.ts";
import { compileVariables } from "./variables.ts";
import type { Json, JsonObject, Operation, Vendor, VendorRequest } from "./vendor.ts";

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
  /** By endpoint that can be looked up: the body's fields that it takes, `null` for all. */
  facts: Map<string, ReadonlySet<string> | null>;
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
  // An hour less than the vendor's word: clocks differ, and a send may wait.
  const life = connector.idempotency ? (connector.idempotency.lifeHours - 1) * 3_600_000 : 0;
  return {
    id: connector.id,
    upstream: connector.upstream,
    subdomains: connector.subdomains,
    headerNames: headerNames(connector),
    idempotencyHeader: connector.idempotency?.header ?? null,
    idempotencyLifeMs: life,
    credentialHeader: connector.credential.type === "header" ? connector.credential.header : "authorization",
    variables: compileVariables(connector),
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
      return read ? fillTarget(read.target, (name) => own(operation.params, name) ?? own(request.body, name)) : null;
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
      encode(connector, codec, ruleOf(operation), operation, request, quote, tags),
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
    ...lookUps(compiled),
  };
}

type LookUps = Pick<Vendor, "lookupFacts" | "reconcile" | "priceTarget" | "price">;

/** What the reconciler asks. */
function lookUps({ connector, byEndpoint, facts }: Compiled): LookUps {
  return {
    lookupFacts({ endpoint }, { body, headers }) {
      const names = facts.get(endpoint);
      if (names === undefined) return null;
      const sent = connector.scopedHeaders.filter((name) => headers[name] !== undefined);
      return {
        body: names === null ? body : pick(body, names),
        headers: Object.fromEntries(sent.map((name) => [name, headers[name]!])),
      };
    },
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
    facts: new Map(),
  };
  const add = (rule: CompiledRule, lookUp: CompiledLookUp | null) => {
    if (compiled.byEndpoint.has(rule.endpoint)) throw new Error(`${connector.id}: \`${rule.endpoint}\` is there twice`);
    compiled.rules.push(rule);
    compiled.byEndpoint.set(rule.endpoint, { rule, lookUp });
    compiled.outcomes.set(rule, [...rule.outcomes, ...common]);
    if (lookUp?.reconcile) compiled.facts.set(rule.endpoint, factsOf(rule, lookUp.reconcile));
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

function headerNames(connector: Connector): string[] {
  const names = [...connector.headers.map(({ name }) => name), ...connector.scopedHeaders];
  return connector.idempotency ? [...names, connector.idempotency.header] : names;
}

function keyPatterns(connector: Connector): { sdk: RegExp[]; maybe: RegExp[] } {
  const read = (list: string[]) => list.map((each) => new RegExp(`^(?:${each})$`));
  return { sdk: read(connector.generatedKeys.sdk), maybe: read(connector.generatedKeys.maybe) };
}

function pick(map: JsonObject, names: ReadonlySet<string>): JsonObject {
  const picked: JsonObject = {};
  for (const name of names) if (Object.hasOwn(map, name)) picked[name] = map[name]!;
  return picked;
}

function own(map: JsonObject, name: string): string | null {
  const value = Object.hasOwn(map, name) ? map[name] : null;
  return typeof value === "string" ? value : null;
}
