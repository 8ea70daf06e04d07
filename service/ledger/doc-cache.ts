import type { DocId, DocTypes } from "./types.ts";

export type Kind = keyof DocTypes;

/** What is known of a document, by kind and id: `null` means known to be absent, a missing entry means not known. */
export type KnownDocs = { readonly [K in Kind]: ReadonlyMap<string, DocTypes[K] | null> };

export const KINDS: readonly Kind[] = ["c", "a", "o", "r", "u"];

export const kindOf = (id: DocId): Kind => id[0] as Kind;
export const nameOf = (id: DocId): string => id.slice(2);

/** Documents of one key as they are at one version of it. */
export class DocCache {
  readonly #docs = {
    c: new Map<string, DocTypes["c"] | null>(),
    a: new Map<string, DocTypes["a"] | null>(),
    o: new Map<string, DocTypes["o"] | null>(),
    r: new Map<string, DocTypes["r"] | null>(),
    u: new Map<string, DocTypes["u"] | null>(),
  };

  get docs(): KnownDocs {
    return this.#docs;
  }

  set(kind: Kind, name: string, doc: DocTypes[Kind] | null): void {
    const docs = this.#docs[kind] as Map<string, DocTypes[Kind] | null>;
    docs.delete(name);
    docs.set(name, doc);
  }

  /** Of each kind the least recently written leave. Only between commits: one may need more than the limit. */
  trim(limit: number): void {
    for (const kind of KINDS) {
      const docs = this.#docs[kind];
      for (const oldest of docs.keys()) {
        if (docs.size <= limit) break;
        docs.delete(oldest);
      }
    }
  }

  clear(): void {
    for (const kind of KINDS) this.#docs[kind].clear();
  }
}
