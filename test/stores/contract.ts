/**
 * Goal: every store keeps the promises that the ledger is built on. Method: one suite of black-box tests through the
 * `Store` interface, run on each store. Limit: it cannot see durability (see sqlite-crash.test.ts), and an interleaving
 * that this run did not meet.
 */
import { afterEach, beforeEach, describe } from "vitest";
import type { Store } from "../../service/stores/store.ts";
import { commitContract } from "./contract-commits.ts";
import { documentContract } from "./contract-documents.ts";
import { filterContract } from "./contract-filters.ts";
import { listingContract } from "./contract-listings.ts";
import { recordContract } from "./contract-records.ts";

export interface OpenedStore {
  store: Store;
  /** The store's time source; a store with a time of its own (a database server) leaves it out. */
  setTime?: (ms: number) => void;
  /** It keeps receipts in packs that are deleted at their end, not before. */
  packsReceipts?: boolean;
}

/** @param open opens a store with nothing in it; the suite closes it. */
export function storeContract(name: string, open: () => Promise<OpenedStore>): void {
  describe(`store contract: ${name}`, () => {
    let opened: OpenedStore;
    beforeEach(async () => {
      opened = await open();
    });
    afterEach(() => opened.store.close());
    commitContract(() => opened.store);
    documentContract(() => opened);
    listingContract(() => opened.store);
    filterContract(() => opened.store);
    recordContract(() => opened.store);
  });
}
