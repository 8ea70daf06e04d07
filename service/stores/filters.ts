/** What the filters of the listings mean, in one place for the stores that filter in JavaScript. */
import type { Call, KeyState } from "../ledger/types.ts";
import type { CallFilter, KeyFilter } from "./store.ts";

/** True for the calls of {@link Store.listOpenCalls}. */
export function isOpenCall(call: Call): boolean {
  return call.state === "reserved" || call.state === "unknown" || call.pricePending;
}

export function callMatches(filter: CallFilter, call: Call): boolean {
  return (
    (filter.keyIds === undefined || filter.keyIds.includes(call.keyId)) &&
    (filter.label === undefined || call.label === filter.label || call.execution === filter.label) &&
    (filter.owner === undefined || call.owner === filter.owner) &&
    (filter.taskIndex === undefined || call.task === filter.taskIndex) &&
    (filter.vendor === undefined || call.vendor === filter.vendor) &&
    (filter.state === undefined || call.state === filter.state) &&
    (filter.since === undefined || call.createdAt >= filter.since) &&
    (filter.until === undefined || call.createdAt < filter.until)
  );
}

export function keyMatches(filter: KeyFilter, key: KeyState): boolean {
  return (
    (filter.label === undefined || key.label === filter.label || key.execution === filter.label) &&
    (filter.owner === undefined || key.owner === filter.owner)
  );
}
