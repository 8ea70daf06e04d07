/** Small records, settings and policies in Firestore. */
import type { ApiWrite, FirestoreConnection, FoundDoc } from "./firestore-client.ts";
import { guarded, isRefusal, RpcFailure } from "./firestore-failure.ts";
import { policiesOf, recordsOf } from "./firestore-queries.ts";
import { plainDoc, text, textOf, time, updateTimeOf } from "./firestore-values.ts";
import { checkRecordName, encodeRecordCursor } from "./records.ts";
import {
  type Page,
  type PolicyDocs,
  type RecordDoc,
  type RecordKind,
  type RecordWrite,
  type StoredRecord,
  StoreUnavailable,
  type Version,
} from "./store.ts";

/** One collection for all kinds: names of a kind follow each other in the order of names, which needs no index. */
export const recordPath = (kind: RecordKind, name: string): string => `records/${kind}:${name}`;
const settingPath = (name: string): string => `settings/setting:${encodeURIComponent(name)}`;

/** @returns `null` for a version that this store never answered. */
export function recordWrite(
  { kind, name, doc, version, expiresAt }: RecordWrite,
  { root, randomId }: { root: string; randomId: () => string },
): ApiWrite | null {
  const updateTime = version === null ? null : updateTimeOf(version);
  if (version !== null && updateTime === null) return null;
  const fields = {
    doc: text(JSON.stringify(doc)),
    beat: text(randomId()),
    ...(expiresAt !== null && { expireAt: time(expiresAt) }),
  };
  return {
    update: { name: `${root}/${recordPath(kind, name)}`, fields },
    currentDocument: updateTime === null ? { exists: false } : { updateTime },
  };
}

/** Another wrote it first, or it is not there: nothing was written. */
const lostTheRace = (error: unknown): boolean => error instanceof RpcFailure && isRefusal(error);

export class FirestoreRecords {
  readonly #connection: FirestoreConnection;
  readonly #randomId: () => string;

  constructor(connection: FirestoreConnection, randomId: () => string) {
    this.#connection = connection;
    this.#randomId = randomId;
  }

  async get(kind: RecordKind, name: string): Promise<StoredRecord | null> {
    checkRecordName(name);
    const [found] = (await this.#connection.get([recordPath(kind, name)])).values();
    return found ? stored(kind, found) : null;
  }

  async put(write: RecordWrite): Promise<Version | null> {
    checkRecordName(write.name);
    const encoded = recordWrite(write, { root: this.#connection.root, randomId: this.#randomId });
    if (encoded === null) return null;
    try {
      return (await this.#connection.commit([encoded])).versions[0] ?? null;
    } catch (error) {
      if (lostTheRace(error)) return null;
      throw error;
    }
  }

  /** @param after the last name that was given out. */
  async list(kind: RecordKind, limit: number, after: string | null): Promise<Page<StoredRecord>> {
    const { parent, query } = recordsOf(this.#connection.root, kind, after, limit + 1);
    const found = await this.#connection.query(parent, query);
    const items = found.slice(0, limit).map((doc) => stored(kind, doc));
    const last = items.at(-1);
    return { items, cursor: last && found.length > limit ? encodeRecordCursor(kind, last.name) : null };
  }

  async setting(name: string): Promise<string | null> {
    const [found] = (await this.#connection.get([settingPath(name)])).values();
    return found ? textOf(found.fields, "value") : null;
  }

  async settingOnce(name: string, value: string): Promise<string> {
    const kept = await this.setting(name);
    if (kept !== null) return kept;
    const update = { name: `${this.#connection.root}/${settingPath(name)}`, fields: { value: text(value) } };
    try {
      await this.#connection.commit([{ update, currentDocument: { exists: false } }]);
      return value;
    } catch (error) {
      // Also after a lost answer: what is there now is there for good.
      const first = await this.setting(name);
      if (first !== null) return first;
      throw lostTheRace(error) ? new StoreUnavailable(`The setting ${name} could not be written.`) : error;
    }
  }
}

function stored(kind: RecordKind, { path, fields, version }: FoundDoc): StoredRecord {
  const name = path.slice(recordPath(kind, "").length);
  return { name, doc: JSON.parse(textOf(fields, "doc") ?? "{}") as RecordDoc, version };
}

/** Written by Pulumi or by hand, with fields of their own; checked by whoever reads them. */
export class FirestorePolicies implements PolicyDocs {
  readonly #connection: FirestoreConnection;

  constructor(connection: FirestoreConnection) {
    this.#connection = connection;
  }

  async byId(id: string): Promise<RecordDoc | null> {
    if (!/^[A-Za-z0-9._:@-]{1,250}$/.test(id) || /^\.{1,2}$/.test(id)) return null;
    const [found] = (await guarded(() => this.#connection.get([`policies/${id}`]))).values();
    return found ? plainDoc(found.fields) : null;
  }

  async byPrincipal(principal: string): Promise<{ id: string; doc: RecordDoc }[]> {
    const { parent, query } = policiesOf(principal);
    const found = await guarded(() => this.#connection.query(parent, query));
    return found.map(({ path, fields }) => ({ id: path.slice("policies/".length), doc: plainDoc(fields) }));
  }
}
