/** JSON as CEL sees it. */
import type { Json, JsonObject } from "./vendor.ts";

export type CelValue = bigint | number | string | boolean | null | CelValue[] | { [key: string]: CelValue };

const MAX_ANSWER_DEPTH = 64;

/** JSON → CEL: whole numbers become int64. Throws `RangeError` for absurd nesting. */
export function toCel(value: Json, depth = 0): CelValue {
  if (typeof value === "number") return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (value === null || typeof value !== "object") return value;
  if (depth > MAX_ANSWER_DEPTH) throw new RangeError("nested too deeply");
  if (Array.isArray(value)) return value.map((item) => toCel(item, depth + 1));
  const copy: { [key: string]: CelValue } = {};
  for (const key of Object.keys(value)) if (key !== "__proto__") copy[key] = toCel(value[key]!, depth + 1);
  return copy;
}

/** Converts only those fields of an object that expressions read: answers are much larger than what is read of them. */
export function toCelFields(object: JsonObject, fields: ReadonlySet<string> | null): CelValue {
  if (fields === null) return toCel(object);
  const copy: { [key: string]: CelValue } = {};
  for (const field of fields) if (Object.hasOwn(object, field)) copy[field] = toCel(object[field]!);
  return copy;
}
