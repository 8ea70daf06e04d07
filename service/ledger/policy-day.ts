/** What a policy issues in one UTC day: one record, written by the very commit that makes a key. */
import { Refusal } from "../errors.ts";
import { formatUsd } from "../money.ts";
import type { RecordDoc, RecordWrite, Store } from "../stores/store.ts";
import { DAY_MS, windowOf } from "./balance.ts";
import type { IssueRequest } from "./ledger.ts";
import type { KeyState } from "./types.ts";

/** A store that forgets by itself may drop the record so long after its last key. */
const KEPT_MS = 2 * DAY_MS;

/** At most so much can the key ever spend: its lifetime cap, else its daily cap for each begun day of its life. */
export function countedMicros({ capMicros, dailyCapMicros, createdAt, expiresAt }: KeyState): number {
  if (capMicros !== null) return capMicros;
  if (dailyCapMicros === null) throw new Error("a key without any cap cannot be counted");
  return dailyCapMicros * Math.ceil((expiresAt - createdAt) / DAY_MS);
}

/**
 * The record as it is when `key` is counted in it, or the refusal when that is more than the policy may issue in a day.
 * The day is that of the key's creation.
 */
export async function countKey(
  store: Pick<Store, "record">,
  { policy, limitMicros }: NonNullable<IssueRequest["day"]>,
  key: KeyState,
): Promise<RecordWrite | Refusal> {
  const date = windowOf(key.createdAt);
  const name = `${policy}:${date}`;
  const found = await store.record("policy_day", name);
  const { issuedMicros, keys } = found ? read(name, found.doc) : { issuedMicros: 0, keys: 0 };
  const micros = countedMicros(key);
  if (issuedMicros + micros > limitMicros) {
    const left = formatUsd(Math.max(0, limitMicros - issuedMicros));
    return new Refusal(
      "policy_denied",
      `policy \`${policy}\` may issue keys of $${formatUsd(limitMicros)} in one UTC day, and of ${date} $${left} is left; this key counts $${formatUsd(micros)}`,
    );
  }
  const doc = { issued_micros: issuedMicros + micros, keys: keys + 1 };
  return { kind: "policy_day", name, doc, version: found?.version ?? null, expiresAt: key.createdAt + KEPT_MS };
}

function read(name: string, { issued_micros: issuedMicros, keys }: RecordDoc): { issuedMicros: number; keys: number } {
  if (!isCount(issuedMicros) || !isCount(keys)) throw new Error(`The record policy_day ${name} is damaged.`);
  return { issuedMicros, keys };
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
