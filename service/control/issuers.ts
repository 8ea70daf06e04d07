/** Issuers: callers outside Google Cloud, each bound to a policy by a record. Nothing in the store is secret. */
import { z } from "zod";
import { labelText } from "../audit/audit-filter.ts";
import type { Clock, Random } from "../clock.ts";
import { base32 } from "../ledger/identity.ts";
import { type Page, type Store, type StoredRecord, StoreUnavailable } from "../stores/store.ts";

const issuerDoc = z.object({
  policy: z.string(),
  /** What people call it. */
  label: labelText.nullable(),
  createdAt: z.int(),
  createdBy: z.string(),
  revokedAt: z.int().nullable(),
  revokedBy: z.string().nullable(),
});

export interface Issuer extends z.output<typeof issuerDoc> {
  issuerId: string;
}

export interface IssuersOptions {
  store: Pick<Store, "record" | "putRecord" | "listRecords">;
  clock: Pick<Clock, "now">;
  random: Pick<Random, "bytes">;
}

/** Another process may have written the record in between; it is only ever revoked, so this many tries are more than enough. */
const MAX_TRIES = 5;

/** Every method throws `StoreUnavailable`. */
export class Issuers {
  readonly #options: IssuersOptions;

  constructor(options: IssuersOptions) {
    this.#options = options;
  }

  async create(policy: string, label: string | null, by: string): Promise<Issuer> {
    const { store, clock, random } = this.#options;
    const issuerId = base32(random.bytes(16));
    const doc = { policy, label, createdAt: clock.now(), createdBy: by, revokedAt: null, revokedBy: null };
    const version = await store.putRecord({ kind: "issuer", name: issuerId, doc, version: null, expiresAt: null });
    if (version === null) throw new StoreUnavailable(`the issuer ${issuerId} exists already`);
    return { ...doc, issuerId };
  }

  async find(issuerId: string): Promise<Issuer | null> {
    const record = await this.#options.store.record("issuer", issuerId);
    return record && read(record);
  }

  /** By id. */
  async list(limit: number, cursor: string | null): Promise<Page<Issuer>> {
    const page = await this.#options.store.listRecords("issuer", limit, cursor);
    return { items: page.items.map(read), cursor: page.cursor };
  }

  /** Its key is refused from now on. Revoking twice changes nothing. @returns `null` when there is no such issuer. */
  async revoke(issuerId: string, by: string): Promise<Issuer | null> {
    const { store, clock } = this.#options;
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const record = await store.record("issuer", issuerId);
      if (!record) return null;
      const issuer = read(record);
      if (issuer.revokedAt !== null) return issuer;
      const doc = { ...record.doc, revokedAt: clock.now(), revokedBy: by };
      const { version } = record;
      const written = await store.putRecord({ kind: "issuer", name: issuerId, doc, version, expiresAt: null });
      if (written !== null) return read({ ...record, doc });
    }
    throw new StoreUnavailable(`the issuer ${issuerId} could not be written in ${MAX_TRIES} tries`);
  }
}

function read({ name, doc }: StoredRecord): Issuer {
  return { ...issuerDoc.parse(doc), issuerId: name };
}
