/** Ledger against the vendor's books: object by object, to the cent. */
import { formatUsd, MICROS_PER_CENT } from "../../service/money.ts";
import type { LedgerBooks } from "./ledger-books.ts";
import type { Intent } from "./vendor.ts";

export interface Comparison {
  /** What the vendor's objects of this run add up to. */
  vendorMicros: number;
  vendorObjects: number;
  /** One sentence each; none: the books are equal. */
  differences: string[];
}

/** What a PaymentIntent exposes, by its status: money that has moved, can be taken, or was promised. */
export function exposureMicros(intent: Intent): number {
  const cents =
    intent.status === "succeeded" || intent.status === "canceled"
      ? intent.amountReceived
      : intent.status === "requires_capture"
        ? intent.amountCapturable
        : intent.amount;
  return cents * MICROS_PER_CENT;
}

/** @param exclusive every object that the vendor has must be of this run. */
export function compareBooks(
  ledger: LedgerBooks,
  intents: readonly Intent[],
  execution: string,
  exclusive: boolean,
): Comparison {
  const ours = intents.filter((intent) => intent.execution === execution);
  const differences: string[] = [];
  if (exclusive && ours.length !== intents.length) {
    differences.push(`the vendor has ${intents.length - ours.length} objects that are not of this run`);
  }
  differences.push(...chargedTwice(ours), ...unmatched(ledger, ours), ...wrongSums(ledger));
  const vendorMicros = ours.reduce((sum, intent) => sum + exposureMicros(intent), 0);
  if (vendorMicros !== ledger.sums.spentMicros) {
    differences.push(
      `the ledger spent ${formatUsd(ledger.sums.spentMicros)}, the vendor took ${formatUsd(vendorMicros)}`,
    );
  }
  return { vendorMicros, vendorObjects: ours.length, differences };
}

function chargedTwice(intents: readonly Intent[]): string[] {
  const seen = new Map<string, number>();
  for (const { customer } of intents) seen.set(customer ?? "nobody", (seen.get(customer ?? "nobody") ?? 0) + 1);
  return [...seen]
    .filter(([, count]) => count > 1)
    .map(([customer, count]) => `${customer} was charged ${count} times`);
}

function unmatched(ledger: LedgerBooks, intents: readonly Intent[]): string[] {
  const byId = new Map(intents.map((intent) => [intent.id, intent]));
  const differences: string[] = [];
  for (const call of ledger.calls) {
    if (call.state !== "settled") continue;
    const intent = call.objectId === null ? undefined : byId.get(call.objectId);
    if (!intent) {
      differences.push(`call ${call.callId} is settled, but the vendor has no object ${call.objectId}`);
      continue;
    }
    byId.delete(intent.id);
    if (exposureMicros(intent) !== call.costMicros) {
      differences.push(
        `${intent.id} is ${formatUsd(exposureMicros(intent))} at the vendor, ${formatUsd(call.costMicros)} in the ledger`,
      );
    }
  }
  for (const id of byId.keys()) differences.push(`the vendor has ${id}, and no settled call knows it`);
  return differences;
}

function wrongSums(ledger: LedgerBooks): string[] {
  const { sums, calls } = ledger;
  const differences: string[] = [];
  const spent = sum(calls.filter((call) => call.state === "settled").map((call) => call.costMicros));
  const reserved = sum(
    calls.filter((call) => call.state === "reserved" || call.state === "unknown").map((call) => call.quoteMicros),
  );
  if (spent !== sums.spentMicros) {
    differences.push(`the key spent ${formatUsd(sums.spentMicros)}, its calls ${formatUsd(spent)}`);
  }
  if (reserved !== sums.reservedMicros) {
    differences.push(`the key holds ${formatUsd(sums.reservedMicros)}, its open calls ${formatUsd(reserved)}`);
  }
  if (sums.spentMicros + sums.reservedMicros > sums.capMicros) {
    differences.push(
      `${formatUsd(sums.spentMicros + sums.reservedMicros)} is over the cap of ${formatUsd(sums.capMicros)}`,
    );
  }
  return differences;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
