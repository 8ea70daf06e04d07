import type { Doc, DocId } from "./types.ts";

/** Documents of one key as they are at one version of it; `null` is known absence. The least recently written leave first. */
export class DocCache {
  readonly #docs = new Map<DocId, Doc | null>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get docs(): ReadonlyMap<DocId, Doc | null> {
    return this.#docs;
  }

  set(id: DocId, doc: Doc | null): void {
    this.#docs.delete(id);
    this.#docs.set(id, doc);
    if (this.#docs.size > this.#limit) {
      for (const oldest of this.#docs.keys()) {
        this.#docs.delete(oldest);
        break;
      }
    }
  }

  clear(): void {
    this.#docs.clear();
  }
}
