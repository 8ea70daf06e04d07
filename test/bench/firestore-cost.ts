/** What Firestore bills, and what that costs. */

/** Billed operations, counted where the client library hands them to the network. */
export interface Operations {
  /** Documents that were asked for, those included that are not there; a query costs at least one. */
  reads: number;
  writes: number;
  deletes: number;
  /** Documents that the TTL policy, or the sweep of receipts, will delete later: each is billed as a delete then. */
  laterDeletes: number;
  /** Commits that Firestore refused: they wrote nothing, and are not billed. */
  refusedCommits: number;
}

export const noOperations: Readonly<Operations> = {
  reads: 0,
  writes: 0,
  deletes: 0,
  laterDeletes: 0,
  refusedCommits: 0,
};

const names = Object.keys(noOperations) as (keyof Operations)[];

/** What was done between two counts, for one call. */
export function perCall(before: Operations, after: Operations, calls: number): Operations {
  const share = { ...noOperations };
  for (const name of names) share[name] = (after[name] - before[name]) / calls;
  return share;
}

/**
 * Dollars for 100,000 operations in us-central1, list price without the free tier
 * (https://cloud.google.com/firestore/pricing, read 2026-11). Storage, network and the vendor are not in it.
 */
export const listPrice = { read: 0.03, write: 0.09, delete: 0.01, readOn: "2026-11", region: "us-central1" } as const;

/** Dollars at list price for a million calls, what TTL deletes later included. */
export function dollarsPerMillion({ reads, writes, deletes, laterDeletes }: Operations): number {
  const cents = reads * listPrice.read + writes * listPrice.write + (deletes + laterDeletes) * listPrice.delete;
  return cents * 10;
}

/** `3.12 writes, 0.00 reads, 0.00 deletes, 2.05 later deletes`. */
export function operationsText({ reads, writes, deletes, laterDeletes }: Operations): string {
  const part = (count: number, what: string): string => `${count.toFixed(2)} ${what}`;
  return [
    part(writes, "writes"),
    part(reads, "reads"),
    part(deletes, "deletes"),
    part(laterDeletes, "later deletes"),
  ].join(", ");
}
