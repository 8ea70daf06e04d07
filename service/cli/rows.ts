/** How keys and calls look on a terminal. Fields are the control plane's; an absent one shows as a dash. */
import type { Cell } from "./output.ts";
import { type Fields, isFields } from "./proxy-client.ts";

export function asText(value: unknown): Cell {
  if (value === null || value === undefined) return null;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** `2026-11-22 18:30:05`, UTC: short enough for a table. */
export function shortTime(value: unknown): Cell {
  const time = typeof value === "string" || typeof value === "number" ? new Date(value) : null;
  if (!time || Number.isNaN(time.getTime())) return asText(value);
  return time.toISOString().slice(0, 19).replace("T", " ");
}

/** How far `expires_at` is away: `in 1 h 59 min`, or `over`. */
function remaining(value: unknown, now: number): string {
  const ms = Date.parse(String(value)) - now;
  if (Number.isNaN(ms)) return "";
  if (ms <= 0) return "over";
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `in ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `in ${hours} h ${minutes % 60} min` : `in ${Math.floor(hours / 24)} days`;
}

export const keyHead = ["KEY_ID", "LABEL", "STATUS", "CAP", "SPENT", "RESERVED", "AVAILABLE", "EXPIRES"];

export function keyRow(key: Fields, now: number): Cell[] {
  return [
    asText(key.key_id),
    asText(key.label),
    asText(key.status),
    asText(key.cap_usd ?? key.daily_cap_usd),
    asText(key.spent_usd),
    asText(key.reserved_usd),
    asText(key.available_usd),
    remaining(key.expires_at, now),
  ];
}

/** `settled=3, unknown=1`: what is there, without the micro-USD twins. */
function inner(fields: Fields): string {
  const entries = Object.entries(fields).filter(([name, value]) => value !== null && !name.endsWith("_micros"));
  return entries.map(([name, value]) => `${name}=${asText(value)}`).join(", ");
}

/** Every field but the micro-USD twins and what is empty. */
export function keyFields(key: Fields, now: number): [string, Cell][] {
  const shown: [string, Cell][] = [];
  for (const [name, value] of Object.entries(key)) {
    if (name.endsWith("_micros") || value === null || (Array.isArray(value) && value.length === 0)) continue;
    if (name === "expires_at") shown.push([name, `${shortTime(value)} (${remaining(value, now)})`]);
    else if (name.endsWith("_at")) shown.push([name, shortTime(value)]);
    else if (Array.isArray(value) && value.every((entry) => typeof entry === "string"))
      shown.push([name, value.join(", ")]);
    else if (isFields(value)) shown.push([name, inner(value) || null]);
    else shown.push([name, asText(value)]);
  }
  return shown;
}

export const callHead = [
  "TIME (UTC)",
  "STATE",
  "VENDOR",
  "ENDPOINT",
  "COST",
  "QUOTE",
  "STATUS",
  "TASK",
  "OBJECT",
  "CALL_ID",
];

export function callRow(call: Fields): Cell[] {
  const task = call.task_index;
  return [
    shortTime(call.created_at),
    asText(call.state),
    asText(call.vendor),
    asText(call.endpoint),
    asText(call.cost_usd),
    asText(call.quote_usd),
    asText(call.status ?? call.code),
    task === null || task === undefined ? null : `${task}.${call.task_attempt ?? 0}`,
    asText(call.object_id),
    asText(call.call_id),
  ];
}
