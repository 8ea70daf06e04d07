/** The message as it goes out: the parse encoded anew, with the rule's pins, our idempotency key and the real secret. */

import type { BodyCodec } from "./body-codec.ts";
import { invalid, sameJson } from "./codec/limits.ts";
import type { Connector } from "./connector.ts";
import type { Context } from "./expressions.ts";
import { quoteContext } from "./price-call.ts";
import { type CompiledRule, isObject, requestContext } from "./rule.ts";
import type { JsonObject, Operation, Quote, VendorMessage, VendorRequest } from "./vendor.ts";

interface Tags {
  callId: string;
  vendorKey: string;
}

/** The body with the rule's pins. `tags`: `null` before the call is reserved, when its id is not known yet. */
export function pinned(
  rule: CompiledRule,
  body: JsonObject,
  context: Context,
  codec: BodyCodec,
  tags: Tags | null,
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

export function encode(
  connector: Connector,
  codec: BodyCodec,
  rule: CompiledRule,
  operation: Operation,
  request: VendorRequest,
  quote: Quote,
  tags: Tags,
): VendorMessage {
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
    rule.pins.length === 0
      ? {}
      : { ...requestContext(rule, request, operation.params, codec.textOnly), quote: quoteContext(quote) };
  const body = pinned(rule, request.body, context, codec, tags);
  const root = rule.list === null ? body : body[rule.list]!;
  const text = codec.encode(root);
  if (!sameJson(codec.parse(text, codec.mediaType, { depth: 16, fields: rule.maxFields + 32 }), root)) {
    throw invalid("the body changes when it is encoded again");
  }
  headers["content-type"] = codec.contentType;
  return { method: rule.method, target, headers, body: Buffer.from(text, "utf8") };
}

export function authorise(connector: Connector, message: VendorMessage, secret: string): VendorMessage {
  const { credential } = connector;
  if (credential.type === "header")
    return { ...message, headers: { ...message.headers, [credential.header]: `${credential.prefix}${secret}` } };
  const value =
    credential.type === "bearer"
      ? `Bearer ${secret}`
      : `Basic ${Buffer.from(secret.includes(":") ? secret : `${secret}:`).toString("base64")}`;
  return { ...message, headers: { ...message.headers, authorization: value } };
}
