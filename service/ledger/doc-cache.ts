import type { Doc, DocId } from "./types.ts";

/** Documents of one key as they are at one version of it; `null` is known absence. */
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
  }

  /** Between commits: the least recently written leave. Never during one, which may need more than the limit. */
  trim(): void {
    for (const oldest of this.#docs.keys()) {
      if (this.#docs.size <= this.#limit) return;
      this.#docs.delete(oldest);
    }
  }

  clear(): void {
    this.#docs.clear();
  }
}
