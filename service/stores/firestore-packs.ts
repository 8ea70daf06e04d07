/** Receipts are written in packs: hundreds of answers cost one write, not hundreds. */
import type { Receipt } from "../ledger/types.ts";
import type { ApiWrite } from "./firestore-client.ts";
import type { PlanContext } from "./firestore-commit.ts";
import { type Pack, packPath } from "./firestore-rows.ts";
import { text, time } from "./firestore-values.ts";

/** Bytes of JSON in one pack; a document has room for 1 MiB (https://cloud.google.com/firestore/quotas, read 2026-11). */
const PACK_BYTES = 700_000;

/** Receipts of one commit, those with one end together. */
export class Packs {
  readonly #context: Pick<PlanContext, "root" | "randomId">;
  readonly #full: ApiWrite[] = [];
  readonly #open = new Map<number, { id: string; bytes: number; sealed: Record<string, string> }>();

  constructor(context: Pick<PlanContext, "root" | "randomId">) {
    this.#context = context;
  }

  /** @returns the pack's id. */
  add(callId: string, { sealed, expiresAt }: Receipt): string {
    const bytes = sealed.length + callId.length + 16;
    let pack = this.#open.get(expiresAt);
    if (!pack || pack.bytes + bytes > PACK_BYTES) {
      if (pack) this.#full.push(this.#write(pack, expiresAt));
      pack = { id: this.#context.randomId(), bytes: 0, sealed: {} };
      this.#open.set(expiresAt, pack);
    }
    pack.bytes += bytes;
    pack.sealed[callId] = sealed;
    return pack.id;
  }

  writes(): ApiWrite[] {
    return [...this.#full, ...[...this.#open].map(([expiresAt, pack]) => this.#write(pack, expiresAt))];
  }

  #write({ id, sealed }: { id: string; sealed: Record<string, string> }, expiresAt: number): ApiWrite {
    const pack: Pack = { expiresAt, sealed };
    const fields = { doc: text(JSON.stringify(pack)), expireAt: time(expiresAt) };
    return { update: { name: `${this.#context.root}/${packPath(id)}`, fields } };
  }
}
