/** Firestore's JSON of values: https://cloud.google.com/firestore/docs/reference/rest/v1/Value (read 2026-11). */

type Value = Record<string, unknown>;

/** @returns the `fields` of a document. What is `undefined` is left out. */
export function documentFields(object: object): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(object)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, fieldValue(value)]),
  );
}

function fieldValue(value: unknown): Value {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { booleanValue: value };
  if (Number.isSafeInteger(value)) return { integerValue: String(value) };
  // Firestore answers an empty list without `values`: written otherwise, each `up` would find a change.
  if (Array.isArray(value)) return { arrayValue: value.length === 0 ? {} : { values: value.map(fieldValue) } };
  if (typeof value === "object" && value !== null) return { mapValue: { fields: documentFields(value) } };
  throw new Error(`a policy has no value such as ${String(value)}`);
}
