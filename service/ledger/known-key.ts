/** What this process knows of one key: its state at a version, and some of its documents at that version. */
import { type Commit, type Store, StoreUnavailable, type Version } from "../stores/store.ts";
import { DocCache, type KnownDocs, kindOf, nameOf } from "./doc-cache.ts";
import type { Draft } from "./draft.ts";
import type { DocId, KeyState } from "./types.ts";

export class KnownKey {
  readonly keyId: string;
  readonly #store: Store;
  readonly #docs = new DocCache();
  #state: KeyState | null = null;
  #version: Version | null = null;

  constructor(keyId: string, store: Store) {
    this.keyId = keyId;
    this.#store = store;
  }

  /** `null` before the first read, and when it must be read anew. */
  get state(): KeyState | null {
    return this.#state;
  }

  get version(): Version | null {
    return this.#version;
  }

  get docs(): KnownDocs {
    return this.#docs.docs;
  }

  set(state: KeyState, version: Version): void {
    if (version === this.#version) return;
    this.#state = state;
    this.#version = version;
    this.#docs.clear();
  }

  /** Reads the key with these documents. @returns false when the key does not exist. */
  async load(ids: readonly DocId[]): Promise<boolean> {
    const snapshot = await this.#store.read(this.keyId, ids);
    if (!snapshot) return false;
    this.set(snapshot.state, snapshot.version);
    for (const id of ids) this.#docs.set(kindOf(id), nameOf(id), snapshot.docs.get(id) ?? null);
    return true;
  }

  /** @param ids read with the key when it is not known. */
  async current(ids: readonly DocId[]): Promise<KeyState> {
    if (this.#state === null) await this.load(ids);
    if (this.#state === null) throw new StoreUnavailable(`key ${this.keyId} is not in the store`);
    return this.#state;
  }

  /** The draft is durable. */
  landed(draft: Draft, version: Version): void {
    this.#state = draft.state;
    this.#version = version;
    draft.teach(this.#docs);
  }

  /** @param limit documents of each kind. */
  trim(limit: number): void {
    this.#docs.trim(limit);
  }

  forget(): void {
    this.#state = null;
    this.#version = null;
    this.#docs.clear();
  }

  /** After a lost answer: the token in the key, in the page or in a document proves that the commit applied. */
  async shows({ version, state, page, writes }: Commit): Promise<boolean> {
    const written = writes.find((write) => write.op !== "delete" && write.id.startsWith("c:"));
    const snapshot = await this.#store.read(this.keyId, written ? [written.id] : []);
    if (!snapshot) return false;
    this.set(snapshot.state, snapshot.version);
    if (snapshot.version === version) return false;
    if (snapshot.state.token === state.token) return true;
    if (page) return (await this.#store.findPage(this.keyId, page.first))?.token === state.token;
    const doc = written && snapshot.docs.get(written.id);
    return doc !== undefined && "token" in doc && doc.token === state.token;
  }
}
