/**
 * Calls that match a query, newest first. A run is found by its key's label and by its execution's name, which the key may have
 * got after its first calls: so a name is first looked up among the keys, and the calls are those of the keys found.
 */
import type { Call, KeyState } from "../ledger/types.ts";
import type { CallFilter, Page, Store } from "../stores/store.ts";
import type { AuditFilter } from "./audit-filter.ts";
import { isPast, mayBePast, type Retention } from "./retention.ts";

/** Pages of the store read for one answer, once it has a row. */
const MAX_ROUNDS = 20;
/** Keys whose calls one listing merges. One label has so many only when as many policies use it. */
const MAX_KEYS = 30;
/** Keys remembered in one answer, and read at once. */
const MAX_KNOWN = 10_000;
const READS_AT_ONCE = 20;

export interface AuditQuery {
  filter: AuditFilter;
  /** Whose calls; `null`: everybody's. */
  owner: string | null;
  retention: Retention;
}

export type AuditStore = Pick<Store, "listCalls" | "listKeys" | "read">;

type KnownKey = Pick<KeyState, "execution" | "expiresAt">;

/** Rows of one answer, page after page. */
export class AuditRows {
  readonly #store: AuditStore;
  readonly #query: AuditQuery;
  readonly #keys = new Map<string, KnownKey | null>();
  #storeFilter: Promise<CallFilter> | null = null;

  constructor(store: AuditStore, query: AuditQuery) {
    this.#store = store;
    this.#query = query;
  }

  /** @param from Cursor of the page before. */
  async page(limit: number, from: string | null): Promise<Page<Call>> {
    this.#storeFilter ??= this.#resolve();
    const filter = await this.#storeFilter;
    const items: Call[] = [];
    let cursor = from;
    for (let round = 1; ; round += 1) {
      const page = await this.#store.listCalls(filter, limit - items.length, cursor);
      cursor = page.cursor;
      items.push(...(await this.#shown(page.items)));
      // A page without rows that is not the last would look like the end, so at least one is found.
      if (cursor === null || items.length >= limit || (round >= MAX_ROUNDS && items.length > 0)) break;
      await new Promise(setImmediate);
    }
    return { items, cursor };
  }

  async #resolve(): Promise<CallFilter> {
    const { label, execution, key_id: keyId, task_index: taskIndex, vendor, state, since, until } = this.#query.filter;
    const rest: CallFilter = {
      ...this.#own,
      ...(taskIndex !== undefined && { taskIndex }),
      ...(vendor !== undefined && { vendor }),
      ...(state !== undefined && { state }),
      ...(since !== undefined && { since }),
      ...(until !== undefined && { until }),
    };
    const name = label ?? execution;
    const keys = name === undefined ? null : await this.#keysOf(name);
    if (keys === null) {
      return { ...rest, ...(name !== undefined && { label: name }), ...(keyId !== undefined && { keyIds: [keyId] }) };
    }
    const wanted = keys.filter(
      (key) => (execution === undefined || key.execution === execution) && (keyId === undefined || key.keyId === keyId),
    );
    return { ...rest, keyIds: wanted.map((key) => key.keyId) };
  }

  /** @returns `null` when they are too many: then the calls are found by what stands in themselves. */
  async #keysOf(label: string): Promise<KeyState[] | null> {
    const filter = { label, ...this.#own };
    const keys: KeyState[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<KeyState> = await this.#store.listKeys(filter, MAX_KEYS + 1 - keys.length, cursor);
      keys.push(...page.items);
      cursor = page.cursor;
      if (keys.length > MAX_KEYS) return null;
    } while (cursor !== null);
    for (const key of keys) this.#know(key.keyId, key);
    return keys;
  }

  get #own(): { owner?: string } {
    const { owner } = this.#query;
    return owner === null ? {} : { owner };
  }

  /** Calls that were made before their key was bound to an execution name that execution too. */
  async #shown(calls: readonly Call[]): Promise<Call[]> {
    const { filter, retention } = this.#query;
    await this.#learn(calls.filter((call) => call.execution === null || mayBePast(call, retention)));
    return calls
      .filter((call) => !(mayBePast(call, retention) && isPast(this.#keys.get(call.keyId) ?? endless, retention)))
      .map((call) => ({ ...call, execution: call.execution ?? this.#keys.get(call.keyId)?.execution ?? null }))
      .filter((call) => filter.execution === undefined || call.execution === filter.execution);
  }

  /** Little of each: an export may pass thousands of keys. */
  #know(keyId: string, key: KnownKey | null): void {
    this.#keys.set(keyId, key && { execution: key.execution, expiresAt: key.expiresAt });
  }

  async #learn(calls: readonly Call[]): Promise<void> {
    if (this.#keys.size > MAX_KNOWN) this.#keys.clear();
    const unknown = [...new Set(calls.map((call) => call.keyId))].filter((keyId) => !this.#keys.has(keyId));
    for (let next = 0; next < unknown.length; next += READS_AT_ONCE) {
      await Promise.all(
        unknown.slice(next, next + READS_AT_ONCE).map(async (keyId) => {
          this.#know(keyId, (await this.#store.read(keyId, []))?.state ?? null);
        }),
      );
    }
  }
}

/** Stands for a key that is not there. */
const endless = { expiresAt: Number.POSITIVE_INFINITY };
