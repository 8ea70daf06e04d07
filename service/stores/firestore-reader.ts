/** Reads of the ledger's documents and chain pages. */
import type { Call, ChainPage, Doc, DocId, KeyState, Receipt } from "../ledger/types.ts";
import { checkLimit } from "./cursor.ts";
import type { FirestoreConnection, FoundDoc } from "./firestore-client.ts";
import { pagesOf } from "./firestore-queries.ts";
import { callPath, docPath, isDocumentId, keyPath, type Pack, packPath } from "./firestore-rows.ts";
import { isLater, textOf } from "./firestore-values.ts";
import { type Snapshot, StoreUnavailable } from "./store.ts";

const MAX_IDS = 10_000;
/** Reads of one moment that turned out to be of two. */
const MAX_TRIES = 100;
/** A chain page may hold some 60 KiB. */
const STEP_PAGES = 50;

export class FirestoreReader {
  readonly #connection: FirestoreConnection;

  constructor(connection: FirestoreConnection) {
    this.#connection = connection;
  }

  async read(keyId: string, ids: readonly DocId[]): Promise<Snapshot | null> {
    if (ids.length > MAX_IDS)
      throw new RangeError(`One read takes at most ${MAX_IDS} ids; it was given ${ids.length}.`);
    if (!isDocumentId(keyId)) return null;
    const found = await this.#together(keyId, ids);
    const key = found.get(keyPath(keyId));
    const state = textOf(key?.fields, "doc");
    if (!key || state === null) return null;
    const docs = new Map<DocId, Doc>();
    for (const id of ids) {
      const doc = id.startsWith("r:") ? null : textOf(found.get(docPath(id))?.fields, "doc");
      if (doc !== null) docs.set(id, JSON.parse(doc) as Doc);
    }
    for (const [id, receipt] of await this.#receipts(ids, found)) docs.set(id, receipt);
    return { state: JSON.parse(state) as KeyState, version: key.version, docs };
  }

  /**
   * The key and its documents as they were at one moment. Firestore promises that; the emulator may show documents of a commit
   * whose key it does not show yet. A document moves with its key only, so one that is newer than its key tells; a call that was
   * asked for and is another key's tells nothing.
   */
  async #together(keyId: string, ids: readonly DocId[]): Promise<Map<string, FoundDoc>> {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const found = await this.#connection.get([keyPath(keyId), ...ids.map(docPath)]);
      const version = found.get(keyPath(keyId))?.version;
      const own = [...found.values()].filter(({ fields }) => (textOf(fields, "key") ?? keyId) === keyId);
      if (version === undefined || !own.some((doc) => isLater(doc.version, version))) return found;
    }
    throw new StoreUnavailable(
      `Firestore showed documents of key ${keyId} that are newer than the key, ${MAX_TRIES} times`,
    );
  }

  /** A pack never changes, so that it may be read after the call's row that names it. */
  async #receipts(ids: readonly DocId[], rows: ReadonlyMap<string, FoundDoc>): Promise<Map<DocId, Receipt>> {
    const places = new Map<DocId, string>();
    for (const id of ids) {
      const pack = id.startsWith("r:") ? textOf(rows.get(docPath(id))?.fields, "pack") : null;
      if (pack !== null) places.set(id, packPath(pack));
    }
    const receipts = new Map<DocId, Receipt>();
    if (places.size === 0) return receipts;
    const packs = new Map<string, Pack>();
    for (const [path, { fields }] of await this.#connection.get([...places.values()])) {
      packs.set(path, JSON.parse(textOf(fields, "doc") ?? "") as Pack);
    }
    for (const [id, place] of places) {
      const pack = packs.get(place);
      const sealed = pack?.sealed[id.slice(2)];
      if (pack && sealed !== undefined) receipts.set(id, { sealed, expiresAt: pack.expiresAt });
    }
    return receipts;
  }

  async findCall(callId: string): Promise<Call | null> {
    if (!isDocumentId(callId)) return null;
    const found = await this.#connection.get([callPath(callId)]);
    const doc = textOf(found.get(callPath(callId))?.fields, "doc");
    return doc === null ? null : (JSON.parse(doc) as Call);
  }

  async listPages(keyId: string, from: number, limit: number): Promise<ChainPage[]> {
    checkLimit(limit);
    const pages: ChainPage[] = [];
    for (let next = from; pages.length < limit; ) {
      const wanted = Math.min(STEP_PAGES, limit - pages.length + 1);
      const found = await this.#pages(keyId, next, wanted);
      // The first one may have begun before.
      pages.push(...found.filter((page) => page.first >= from));
      const last = found.at(-1);
      if (!last || found.length < wanted) break;
      next = last.first + last.records.length;
    }
    return pages.slice(0, limit);
  }

  async findPage(keyId: string, n: number): Promise<ChainPage | null> {
    const [page] = await this.#pages(keyId, n, 1);
    return page && page.first <= n ? page : null;
  }

  /** Those that end with `from` or later. */
  async #pages(keyId: string, from: number, limit: number): Promise<ChainPage[]> {
    const { parent, query } = pagesOf(this.#connection.root, keyId, from, limit);
    const found = await this.#connection.query(parent, query);
    return found.map(({ fields }) => JSON.parse(textOf(fields, "doc") ?? "") as ChainPage);
  }
}
