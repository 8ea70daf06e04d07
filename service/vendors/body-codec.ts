/** The codec that a connector names: which content types it takes, and how bodies and queries are read and written. */
import { encodeForm, parseForm } from "./codec/form.ts";
import { parseJson } from "./codec/json.ts";
import { type CodecLimits, DEFAULT_LIMITS, invalid } from "./codec/limits.ts";
import type { MediaType } from "./codec/media-type.ts";
import type { Connector } from "./connector.ts";
import { isObject } from "./rule.ts";
import type { Json, JsonObject } from "./vendor.ts";

export interface BodyCodec {
  readonly mediaType: MediaType;
  readonly contentType: string;
  /** Values are text only. */
  readonly textOnly: boolean;
  readonly accepted: readonly MediaType[];
  parse(text: string, as: MediaType, limits: CodecLimits): Json;
  encode(body: Json): string;
  parseQuery(text: string): JsonObject;
  encodeQuery(query: JsonObject): string;
}

export function bodyCodec(body: Connector["body"]): BodyCodec {
  if (body.codec === "json") {
    return {
      mediaType: "json",
      contentType: "application/json",
      textOnly: false,
      accepted: ["json"],
      parse: (text, _, limits) => parseJson(text, { limits }),
      encode: (value) => JSON.stringify(value),
      parseQuery: (text) => parseForm(text),
      encodeQuery: (query) => encodeForm(query, false),
    };
  }
  const flat = body.codec === "form-flat";
  const repeated = body.codec === "form-flat" ? new Set(body.repeated) : undefined;
  const form = (text: string, limits: CodecLimits) => parseForm(text, repeated ? { limits, repeated } : { limits });
  return {
    mediaType: "form",
    contentType: "application/x-www-form-urlencoded",
    textOnly: true,
    accepted: body.codec === "form-bracketed" && body.json ? ["form", "json"] : ["form"],
    parse: (text, as, limits) => (as === "form" ? form(text, limits) : form(transcode(text, limits), limits)),
    encode: (value) => encodeForm(value as JsonObject, flat),
    parseQuery: (text) => form(text, DEFAULT_LIMITS),
    encodeQuery: (query) => encodeForm(query, flat),
  };
}

/** JSON → the form that says the same. Numbers keep their spelling, so that `4000.0` is refused where an amount belongs. */
function transcode(text: string, limits: CodecLimits): string {
  const value = parseJson(text, { limits, scalars: "text" });
  if (!isObject(value)) throw invalid("the body must be a JSON object");
  return encodeForm(value, false);
}
