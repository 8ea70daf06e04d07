/**
 * Every query that the store can ask, in this one place: firestore-indexes.json must serve each of them, since Firestore refuses
 * a query without its index. A listing chooses by one condition, the most telling one; the rest is filtered by whoever reads.
 */
import type { ApiQuery } from "./firestore-client.ts";
import { keyPath, ORDER_SLACK_MS, pageId } from "./firestore-rows.ts";
import { text, texts, time, type Value, whole, yes } from "./firestore-values.ts";
import type { CallFilter, KeyFilter, RecordKind } from "./store.ts";

export interface Query {
  /** Path of the document whose collection is asked; `null`: the root. */
  parent: string | null;
  query: ApiQuery;
}

type Filter = NonNullable<ApiQuery["where"]>;
type Operator = "EQUAL" | "IN" | "ARRAY_CONTAINS" | "GREATER_THAN_OR_EQUAL" | "LESS_THAN_OR_EQUAL";

/** Place in a listing: after the row of this number and name. */
export interface Position {
  order: number;
  id: string;
}

/** What a listing of rows chooses by. Rows of different sources are different rows. */
export interface Source {
  collection: "keys" | "calls";
  conditions: Filter[];
}

/** Values that one `IN` takes (https://firebase.google.com/docs/firestore/query-data/queries, read 2026-11). */
const IN_VALUES = 30;

function is(field: string, op: Operator, value: Value): Filter {
  return { fieldFilter: { field: { fieldPath: field }, op, value } };
}

/** A listing's sources, and whether they leave something to be filtered by whoever reads. */
export interface Choice {
  sources: Source[];
  filtered: boolean;
}

export function keySources(filter: KeyFilter): Choice {
  const { label, owner } = filter;
  const source = (...conditions: Filter[]): Source[] => [{ collection: "keys", conditions }];
  if (label !== undefined) return choice(filter, "label", source(is("names", "ARRAY_CONTAINS", text(label))));
  if (owner !== undefined) return choice(filter, "owner", source(is("owner", "EQUAL", text(owner))));
  return choice(filter, null, source());
}

export function callSources(filter: CallFilter): Choice {
  const { keyIds, label, owner, state } = filter;
  const times = orderBounds(filter);
  const source = (...conditions: Filter[]): Source => ({ collection: "calls", conditions: [...conditions, ...times] });
  if (keyIds !== undefined) {
    const groups = inGroups([...new Set(keyIds)]);
    return choice(
      filter,
      "keyIds",
      groups.map((group) => source(group)),
    );
  }
  if (label !== undefined) return choice(filter, "label", [source(is("names", "ARRAY_CONTAINS", text(label)))]);
  if (state !== undefined) return choice(filter, "state", [source(is("state", "EQUAL", text(state)))]);
  if (owner !== undefined) return choice(filter, "owner", [source(is("owner", "EQUAL", text(owner)))]);
  return choice(filter, null, [source()]);
}

/** @param chosen the part of the filter that the sources choose by. */
function choice<F extends object>(filter: F, chosen: keyof F | null, sources: Source[]): Choice {
  const rest = Object.entries(filter).filter(([name, value]) => value !== undefined && name !== chosen);
  return { sources, filtered: rest.length > 0 };
}

/** Times of creation bound the rows' numbers from both sides, roughly: what is too much is filtered. */
function orderBounds({ since, until }: CallFilter): Filter[] {
  const bounds: Filter[] = [];
  if (since !== undefined) bounds.push(is("order", "GREATER_THAN_OR_EQUAL", whole((since - ORDER_SLACK_MS) * 1_000)));
  if (until !== undefined) bounds.push(is("order", "LESS_THAN_OR_EQUAL", whole((until + ORDER_SLACK_MS) * 1_000)));
  return bounds;
}

function inGroups(keyIds: readonly string[]): Filter[] {
  const groups: Filter[] = [];
  for (let from = 0; from < keyIds.length; from += IN_VALUES) {
    const ids = keyIds.slice(from, from + IN_VALUES);
    groups.push(ids.length === 1 ? is("key", "EQUAL", text(ids[0]!)) : is("key", "IN", texts(ids)));
  }
  return groups;
}

/** Rows of a source, newest first. */
export function newestFirst(root: string, source: Source, after: Position | null, limit: number): Query {
  return rows(root, source, "DESCENDING", after, limit);
}

/** Open calls, oldest first. */
export function openCalls(root: string, after: Position | null, limit: number): Query {
  const source: Source = { collection: "calls", conditions: [is("open", "EQUAL", yes)] };
  return rows(root, source, "ASCENDING", after, limit);
}

function rows(
  root: string,
  { collection, conditions }: Source,
  direction: "ASCENDING" | "DESCENDING",
  after: Position | null,
  limit: number,
): Query {
  const query: ApiQuery = {
    from: [{ collectionId: collection }],
    ...where(conditions),
    orderBy: [
      { field: { fieldPath: "order" }, direction },
      { field: { fieldPath: "__name__" }, direction },
    ],
    limit: { value: limit },
  };
  if (after !== null) {
    const name: Value = { referenceValue: `${root}/${collection}/${after.id}` };
    query.startAt = { values: [whole(after.order), name], before: false };
  }
  return { parent: null, query };
}

function where(conditions: Filter[]): Pick<ApiQuery, "where"> {
  if (conditions.length === 0) return {};
  if (conditions.length === 1) return { where: conditions[0]! };
  return { where: { compositeFilter: { op: "AND", filters: conditions } } };
}

/** Pages of a key that end with chain number `from` or later, in order. */
export function pagesOf(root: string, keyId: string, from: number, limit: number): Query {
  const parent = keyPath(keyId);
  return {
    parent,
    query: byName("pages", `${root}/${parent}/pages/${pageId(Math.max(0, from))}`, true, limit),
  };
}

/** Records of a kind by name. */
export function recordsOf(root: string, kind: RecordKind, after: string | null, limit: number): Query {
  const query = byName("records", `${root}/records/${kind}:${after ?? ""}`, after === null, limit);
  // `;` is what follows `:`, so it ends the names of this kind.
  query.endAt = { values: [{ referenceValue: `${root}/records/${kind};` }], before: true };
  return { parent: null, query };
}

function byName(collectionId: string, from: string, inclusive: boolean, limit: number): ApiQuery {
  return {
    from: [{ collectionId }],
    orderBy: [{ field: { fieldPath: "__name__" }, direction: "ASCENDING" }],
    startAt: { values: [{ referenceValue: from }], before: inclusive },
    limit: { value: limit },
  };
}

/** Packs of receipts that are over. */
export function packsOver(now: number, limit: number): Query {
  return {
    parent: null,
    query: {
      from: [{ collectionId: "receipts" }],
      where: is("expireAt", "LESS_THAN_OR_EQUAL", time(now)),
      orderBy: [{ field: { fieldPath: "expireAt" }, direction: "ASCENDING" }],
      limit: { value: limit },
      // Only the names are needed to delete them.
      select: { fields: [{ fieldPath: "__name__" }] },
    },
  };
}

/** Three are one more than may be. */
export function policiesOf(principal: string): Query {
  return {
    parent: null,
    query: {
      from: [{ collectionId: "policies" }],
      where: is("principal_ids", "ARRAY_CONTAINS", text(principal)),
      limit: { value: 3 },
    },
  };
}
