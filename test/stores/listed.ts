import type { Call } from "../../service/ledger/types.ts";
import type { Page, Store } from "../../service/stores/store.ts";
import { create, KeyWriter } from "./samples.ts";

/** Follows the cursors to the end; `between` runs after each page. */
export async function all<T>(
  list: (cursor: string | null) => Promise<Page<T>>,
  between = async () => {},
): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let round = 0; round < 1_000; round += 1) {
    const page: Page<T> = await list(cursor);
    items.push(...page.items);
    if (page.cursor === null) return items;
    cursor = page.cursor;
    await between();
  }
  throw new Error("the listing has no end");
}

export const ids = (calls: readonly Call[]) => calls.map((call) => call.id);
export const numbered = (count: number) => Array.from({ length: count }, (_, index) => `c${index}`);

export async function fill(store: Store, calls: Call[]): Promise<void> {
  const key = new KeyWriter(store, "filler");
  for (let from = 0; from < calls.length; from += 100) await key.write(calls.slice(from, from + 100).map(create));
}
