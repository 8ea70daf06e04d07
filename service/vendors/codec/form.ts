/**
 * Strict `application/x-www-form-urlencoded`, in the two dialects that vendors speak:
 * *bracketed* (`metadata[a]=1`, `expand[0]=x`, `expand[]=x`) and *flat* (a repeated name is a list, where the connector
 * says so). There is no standard for brackets; whatever servers could read in two ways is refused. All values are text.
 */
import type { Json, JsonObject } from "../vendor.ts";
import { type CodecLimits, checkCase, checkKey, DEFAULT_LIMITS, invalid } from "./limits.ts";

/** An inner node while parsing: `list` for `name[]`, else by name. */
type Node = { list: string[] } | { map: Map<string, Node | string> };

const INDEX = /^(?:0|[1-9]\d*)$/;

export interface FormOptions {
  limits?: CodecLimits;
  /** Flat dialect: names that may repeat. Absent: the bracketed dialect. */
  repeated?: ReadonlySet<string>;
}

export function parseForm(text: string, options: FormOptions = {}): JsonObject {
  const limits = options.limits ?? DEFAULT_LIMITS;
  if (text === "") return {};
  const pairs = text.split("&", limits.fields + 1);
  if (pairs.length > limits.fields) throw invalid(`the body has more than ${limits.fields} fields`);
  return options.repeated ? parseFlat(pairs, options.repeated) : parseBracketed(pairs, limits);
}

function split(pair: string): [string, string] {
  const equals = pair.indexOf("=");
  if (equals < 0) throw invalid("a form field has no `=`");
  return [unescaped(pair.slice(0, equals)), unescaped(pair.slice(equals + 1))];
}

function unescaped(text: string): string {
  if (!text.includes("%") && !text.includes("+")) return text;
  try {
    return decodeURIComponent(text.includes("+") ? text.replaceAll("+", " ") : text);
  } catch {
    throw invalid("a form field has a wrong percent-escape");
  }
}

function parseFlat(pairs: string[], repeated: ReadonlySet<string>): JsonObject {
  const body: JsonObject = {};
  for (const pair of pairs) {
    const [key, value] = split(pair);
    checkKey(key);
    const held = Object.hasOwn(body, key) ? body[key] : undefined;
    if (repeated.has(key)) body[key] = Array.isArray(held) ? [...held, value] : [value];
    else if (held === undefined) body[key] = value;
    else throw invalid(`the field \`${key}\` is there twice`);
  }
  checkCase(Object.keys(body));
  return body;
}

function parseBracketed(pairs: string[], limits: CodecLimits): JsonObject {
  const root = new Map<string, Node | string>();
  for (const pair of pairs) {
    const [name, value] = split(pair);
    place(root, name, value, limits);
  }
  return finishObject(root);
}

function place(root: Map<string, Node | string>, name: string, value: string, limits: CodecLimits): void {
  const bracket = name.indexOf("[");
  const first = bracket < 0 ? name : name.slice(0, bracket);
  checkKey(first);
  if (bracket < 0) {
    setScalar(root, first, value, name);
    return;
  }
  const inner = name.slice(bracket);
  if (!/^(?:\[[^[\]]*\])+$/.test(inner)) throw invalid(`the brackets of \`${name.slice(0, 80)}\` do not match`);
  const keys = inner.slice(1, -1).split("][");
  if (keys.length > limits.depth) throw invalid(`the body is nested more than ${limits.depth} levels deep`);
  let map = root;
  let at = first;
  for (const [index, key] of keys.entries()) {
    if (key === "") {
      if (index < keys.length - 1) throw invalid(`\`${name.slice(0, 80)}\`: give the list's elements their numbers`);
      append(map, at, value, name);
      return;
    }
    checkKey(key);
    map = descend(map, at, name);
    at = key;
  }
  setScalar(map, at, value, name);
}

function setScalar(map: Map<string, Node | string>, key: string, value: string, name: string): void {
  if (map.has(key)) {
    throw invalid(`the field \`${name.slice(0, 80)}\` is there twice, or is both a value and a map or list`);
  }
  map.set(key, value);
}

function descend(map: Map<string, Node | string>, key: string, name: string): Map<string, Node | string> {
  const held = map.get(key);
  if (held === undefined) {
    const inner = new Map<string, Node | string>();
    map.set(key, { map: inner });
    return inner;
  }
  if (typeof held === "string" || "list" in held) {
    throw invalid(`\`${name.slice(0, 80)}\`: the field \`${key}\` is both a value or list and a map`);
  }
  return held.map;
}

function append(map: Map<string, Node | string>, key: string, value: string, name: string): void {
  const held = map.get(key);
  if (held === undefined) map.set(key, { list: [value] });
  else if (typeof held !== "string" && "list" in held) held.list.push(value);
  else throw invalid(`\`${name.slice(0, 80)}\`: the field \`${key}\` is both a list and something else`);
}

function finish(node: Node | string): Json {
  if (typeof node === "string") return node;
  if ("list" in node) return node.list;
  return finishMap(node.map);
}

/** A map whose names are 0, 1, 2 … in this order is a list; indices in another order are refused (servers differ). */
function finishMap(map: Map<string, Node | string>): Json {
  if (!map.has("0") || ![...map.keys()].every((key) => INDEX.test(key))) return finishObject(map);
  let expected = 0;
  for (const key of map.keys()) {
    if (key !== String(expected)) throw invalid("a list's elements are not numbered 0, 1, 2 … in order");
    expected += 1;
  }
  return [...map.values()].map(finish);
}

function finishObject(map: Map<string, Node | string>): JsonObject {
  checkCase([...map.keys()]);
  const object: JsonObject = {};
  for (const [key, node] of map) object[key] = finish(node);
  return object;
}

/** Encodes a parse again. Lists of the flat dialect repeat the name, else elements are numbered. */
export function encodeForm(body: JsonObject, flat: boolean): string {
  const pairs: string[] = [];
  for (const key of Object.keys(body)) write(pairs, escaped(key), body[key]!, flat);
  return pairs.join("&");
}

function write(pairs: string[], name: string, value: Json, flat: boolean): void {
  if (Array.isArray(value)) {
    value.forEach((item, index) => {
      write(pairs, flat ? name : `${name}[${index}]`, item, flat);
    });
    return;
  }
  if (value !== null && typeof value === "object") {
    for (const key of Object.keys(value)) write(pairs, `${name}[${escaped(key)}]`, value[key]!, flat);
    return;
  }
  pairs.push(`${name}=${escaped(value === null ? "" : String(value))}`);
}

const UNRESERVED = /^[A-Za-z0-9_.~-]*$/;

function escaped(text: string): string {
  return UNRESERVED.test(text) ? text : encodeURIComponent(text);
}
