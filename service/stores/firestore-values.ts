/** Firestore's values, names and times as plain data, and back. */
import type { protos } from "@google-cloud/firestore-api";
import type { RecordDoc, Version } from "./store.ts";

export type Value = protos.google.firestore.v1.IValue;
export type Fields = Record<string, Value>;
type Timestamp = protos.google.protobuf.ITimestamp;

export const text = (value: string): Value => ({ stringValue: value });
export const whole = (value: number): Value => ({ integerValue: String(value) });
export const yes: Value = { booleanValue: true };
export const texts = (values: readonly string[]): Value => ({ arrayValue: { values: values.map(text) } });
/** @param ms since the epoch. */
export const time = (ms: number): Value => ({
  timestampValue: { seconds: String(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1_000_000 },
});

export const textOf = (fields: Fields | null | undefined, name: string): string | null =>
  fields?.[name]?.stringValue ?? null;
export const wholeOf = (fields: Fields | null | undefined, name: string): number =>
  Number(fields?.[name]?.integerValue ?? Number.NaN);

export function millisOf(timestamp: Timestamp): number {
  return Number(timestamp.seconds ?? 0) * 1_000 + Math.floor((timestamp.nanos ?? 0) / 1_000_000);
}

/** A document's update time, which moves with every change of it. */
export function versionOf(timestamp: Timestamp): Version {
  return `${timestamp.seconds ?? 0}.${String(timestamp.nanos ?? 0).padStart(9, "0")}`;
}

/** Versions of one database, of any of its documents. */
export function isLater(version: Version, than: Version): boolean {
  const [[seconds, nanos], [otherSeconds, otherNanos]] = [version.split("."), than.split(".")];
  return seconds === otherSeconds ? Number(nanos) > Number(otherNanos) : Number(seconds) > Number(otherSeconds);
}

/** @returns `null` for a text that {@link versionOf} never made. */
export function updateTimeOf(version: Version): Timestamp | null {
  const match = /^(\d{1,12})\.(\d{9})$/.exec(version);
  return match ? { seconds: match[1]!, nanos: Number(match[2]) } : null;
}

/** Of a document that somebody else wrote. Kinds of values that JSON has not (bytes, places, references) become `null`. */
export function plainDoc(fields: Fields): RecordDoc {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, plain(value)]));
}

function plain(value: Value): unknown {
  if (typeof value.stringValue === "string") return value.stringValue;
  if (typeof value.booleanValue === "boolean") return value.booleanValue;
  if (value.integerValue !== null && value.integerValue !== undefined) return Number(value.integerValue);
  if (typeof value.doubleValue === "number") return value.doubleValue;
  if (value.arrayValue) return (value.arrayValue.values ?? []).map(plain);
  if (value.mapValue) return plainDoc(value.mapValue.fields ?? {});
  return null;
}
