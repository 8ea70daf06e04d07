/** The client's message, parsed once: body, query and headers as the connector takes them, and nothing else. */
import { Refusal } from "../errors.ts";
import type { BodyCodec } from "./body-codec.ts";
import { canonicalJson, DEFAULT_LIMITS, invalid, sameJson, strictText } from "./codec/limits.ts";
import { mediaType } from "./codec/media-type.ts";
import type { Connector } from "./connector.ts";
import { type CompiledRule, isObject } from "./rule.ts";
import type { Json, JsonObject, Operation, RequestInput, VendorRequest } from "./vendor.ts";

export function parseRequest(
  connector: Connector,
  codec: BodyCodec,
  rule: CompiledRule,
  operation: Operation,
  input: RequestInput,
): VendorRequest {
  const headers = checkHeaders(connector, input);
  checkAccount(connector, operation, input);
  const query = parseQuery(codec, rule, input.query);
  const parsed = parseBody(codec, rule, input);
  const { body, bodyKey } = liftKey(connector, rule, parsed, input);
  checkFields(connector, rule, body, headers, input.accounts);
  return { body, query, headers, canonical: canonical(connector, operation, query, body, headers), bodyKey };
}

function parseQuery(codec: BodyCodec, rule: CompiledRule, text: string): JsonObject {
  if (text === "") return {};
  if (rule.method !== "GET") throw invalid("a query is not taken here; send the fields in the body");
  const query = codec.parseQuery(text);
  if (!sameJson(codec.parseQuery(codec.encodeQuery(query)), query)) throw invalid("the query can be read in two ways");
  return query;
}

function parseBody(codec: BodyCodec, rule: CompiledRule, input: RequestInput): JsonObject {
  if (input.body.length > rule.maxBodyBytes) {
    throw new Refusal("body_too_large", `the body has ${input.body.length} bytes; ${rule.maxBodyBytes} are taken`);
  }
  if (input.body.length === 0) {
    if (rule.list !== null) throw invalid("the body must be a JSON list");
    return {};
  }
  if (rule.method === "GET") throw invalid("a read takes no body");
  const type = mediaType(input.contentType, codec.accepted);
  const limits = { depth: DEFAULT_LIMITS.depth, fields: rule.maxFields };
  const value = codec.parse(strictText(input.body), type, limits);
  if (rule.list !== null) {
    if (!Array.isArray(value)) throw invalid("the body must be a JSON list");
    return { [rule.list]: value };
  }
  if (!isObject(value)) throw invalid("the body must be a JSON object");
  return value;
}

const KEY_SHAPE = /^[\x21-\x7e]{1,255}$/;

function liftKey(
  connector: Connector,
  rule: CompiledRule,
  parsed: JsonObject,
  input: RequestInput,
): { body: JsonObject; bodyKey: string | null } {
  const field = connector.idempotency?.bodyField;
  if (field === undefined || rule.method === "GET" || !Object.hasOwn(parsed, field))
    return { body: parsed, bodyKey: null };
  const { [field]: key, ...body } = parsed;
  if (typeof key !== "string" || !KEY_SHAPE.test(key))
    throw invalid(`\`${field}\` must be 1 to 255 visible ASCII characters`);
  const header = input.headers[connector.idempotency!.header];
  if (header !== undefined && header !== key)
    throw invalid(`\`${field}\` and the header \`${connector.idempotency!.header}\` differ`);
  return { body, bodyKey: key };
}

const HEADER_VALUE = /^[\x20-\x7e]{1,256}$/;
const headerPatterns = new WeakMap<Connector, Map<string, RegExp | null>>();

function patternsOf(connector: Connector): Map<string, RegExp | null> {
  let patterns = headerPatterns.get(connector);
  if (!patterns) {
    patterns = new Map(
      connector.headers.map(({ name, pattern }) => [
        name,
        pattern === undefined ? null : new RegExp(`^(?:${pattern})$`),
      ]),
    );
    for (const name of connector.scopedHeaders) patterns.set(name, null);
    headerPatterns.set(connector, patterns);
  }
  return patterns;
}

function checkHeaders(connector: Connector, input: RequestInput): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, pattern] of patternsOf(connector)) {
    const value = input.headers[name];
    if (value === undefined) continue;
    if (!HEADER_VALUE.test(value) || (pattern && !pattern.test(value)))
      throw invalid(`the header \`${name}\` has a value that is not taken`);
    if (connector.scopedHeaders.includes(name) && !input.accounts.includes(value)) {
      throw new Refusal("parameter_not_allowed", `the header \`${name}\` names an account that the key does not list`);
    }
    headers[name] = value;
  }
  return headers;
}

function checkAccount(connector: Connector, operation: Operation, input: RequestInput): void {
  const parameter = connector.account?.parameter;
  if (parameter === undefined || !Object.hasOwn(operation.params, parameter)) return;
  const account = operation.params[parameter]!;
  if (account === input.ownAccount || input.accounts.includes(account)) return;
  throw new Refusal(
    "parameter_not_allowed",
    `\`${parameter}\` in the path is neither the secret's account nor one that the key lists`,
  );
}

function fieldAt(body: JsonObject, path: string): Json | undefined {
  let value: Json | undefined = body;
  for (const name of path.split(".")) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

function checkFields(
  connector: Connector,
  rule: CompiledRule,
  body: JsonObject,
  headers: Record<string, string>,
  accounts: readonly string[],
): void {
  if (rule.method === "GET") return;
  if (rule.fields) {
    for (const name of Object.keys(body)) {
      if (!rule.fields.has(name)) throw new Refusal("parameter_not_allowed", `the field \`${name}\` is not taken here`);
    }
  }
  for (const field of connector.reservedFields) {
    if (fieldAt(body, field) !== undefined)
      throw new Refusal("parameter_not_allowed", `the field \`${field}\` is written by the proxy`);
  }
  let beside = connector.scopedHeaders.some((name) => headers[name] !== undefined);
  const later: string[] = [];
  for (const { field, allow } of connector.scopedFields) {
    const value = fieldAt(body, field);
    if (value === undefined) continue;
    if (allow === "beside_listed") later.push(field);
    else if (allow === "listed" && typeof value === "string" && accounts.includes(value)) beside = true;
    else throw new Refusal("parameter_not_allowed", `\`${field}\` reaches outside the key's \`accounts\``);
  }
  if (!beside && later.length > 0) {
    throw new Refusal("parameter_not_allowed", `\`${later[0]}\` needs an account that the key's \`accounts\` list`);
  }
}

function canonical(
  connector: Connector,
  operation: Operation,
  query: JsonObject,
  body: JsonObject,
  headers: Record<string, string>,
): string {
  const scope = connector.scopedHeaders
    .map((name) => (headers[name] === undefined ? "" : `\n${name}: ${headers[name]}`))
    .join("");
  const host = operation.subdomain === null ? "" : `//${operation.subdomain}`;
  return `${operation.method} ${host}${operation.path}\n${canonicalJson(query)}\n${canonicalJson(body)}${scope}`;
}
