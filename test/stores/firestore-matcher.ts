/**
 * Which indexes serve a query, by Firestore's documented rules (https://firebase.google.com/docs/firestore/query-data/index-overview
 * and https://cloud.google.com/firestore/docs/query-data/indexing, read 2026-11). Fields have single-field indexes of all kinds
 * unless an override says otherwise. A query with equalities alone merges single-field indexes. A query that also sorts, or has a
 * range, needs an index that ends with its sorted fields and begins with its equalities; several such indexes of one sort order
 * can be merged. Documents in the ascending order of their names need no index.
 */
import type { ApiQuery } from "../../service/stores/firestore-client.ts";

export interface IndexFile {
  indexes: { collectionGroup: string; queryScope: string; fields: IndexField[] }[];
  fieldOverrides: {
    collectionGroup: string;
    fieldPath: string;
    ttl?: boolean;
    indexes: { order?: string; arrayConfig?: string; queryScope: string }[];
  }[];
}

interface IndexField {
  fieldPath: string;
  order?: string;
  arrayConfig?: string;
}

/** What a query asks of indexes. */
interface Need {
  collection: string;
  /** Fields with `==`, `in` or `array-contains`, in any order. */
  equalities: { fieldPath: string; kind: "ASCENDING" | "CONTAINS" }[];
  /** Fields in the order of the answer, the one with a range among them; without the name at their end, which follows them. */
  sorts: { fieldPath: string; order: "ASCENDING" | "DESCENDING" }[];
}

type Filter = NonNullable<ApiQuery["where"]>;

/** @returns `null` when the indexes serve the query, else what is missing. */
export function missingIndex(query: ApiQuery, file: IndexFile): string | null {
  const need = needOf(query);
  const { collection, equalities, sorts } = need;
  if (sorts.length === 0) {
    const unserved = equalities.find(({ fieldPath, kind }) => !hasSingle(file, collection, fieldPath, kind));
    return unserved ? `${collection}.${unserved.fieldPath} has no single-field index (${unserved.kind})` : null;
  }
  const [first, ...more] = sorts;
  if (equalities.length === 0 && more.length === 0 && first) {
    if (hasSingle(file, collection, first.fieldPath, first.order)) return null;
    return `${collection}.${first.fieldPath} has no single-field index (${first.order})`;
  }
  const covered = new Set(compositesOf(need, file).flat());
  const unserved = equalities.filter(({ fieldPath }) => !covered.has(fieldPath));
  return unserved.length === 0 && covered.size > 0 ? null : `no composite index for ${JSON.stringify(need)}`;
}

/** Of each composite index that can take part in the query: the equalities that it begins with. */
function compositesOf({ collection, equalities, sorts }: Need, file: IndexFile): string[][] {
  return file.indexes
    .filter(({ collectionGroup, queryScope }) => collectionGroup === collection && queryScope === "COLLECTION")
    .filter(({ fields }) => {
      const prefix = fields.slice(0, fields.length - sorts.length);
      const suffix = fields.slice(fields.length - sorts.length);
      const sorted = sorts.every(
        ({ fieldPath, order }, n) => suffix[n]?.fieldPath === fieldPath && suffix[n]?.order === order,
      );
      const asked = prefix.every((field) =>
        equalities.some(({ fieldPath, kind }) => {
          const same = field.fieldPath === fieldPath;
          return same && (kind === "CONTAINS" ? field.arrayConfig === "CONTAINS" : field.order !== undefined);
        }),
      );
      return sorted && asked && prefix.length > 0;
    })
    .map(({ fields }) => fields.slice(0, fields.length - sorts.length).map(({ fieldPath }) => fieldPath));
}

function hasSingle(file: IndexFile, collection: string, fieldPath: string, kind: string): boolean {
  const override = file.fieldOverrides.find(
    (each) => each.collectionGroup === collection && each.fieldPath === fieldPath,
  );
  if (!override) return true;
  return override.indexes.some(
    ({ order, arrayConfig, queryScope }) =>
      queryScope === "COLLECTION" && (kind === "CONTAINS" ? arrayConfig === "CONTAINS" : order === kind),
  );
}

/** Throws for what the matcher knows no rule of. */
function needOf(query: ApiQuery): Need {
  const [from, ...others] = query.from ?? [];
  if (!from?.collectionId || from.allDescendants || others.length > 0) throw new Error("not one collection");
  const need: Need = { collection: from.collectionId, equalities: [], sorts: [] };
  const ranges = new Set<string>();
  for (const filter of filtersOf(query.where ?? null)) {
    const { op, field } = filter.fieldFilter ?? {};
    const fieldPath = field?.fieldPath;
    if (!fieldPath) throw new Error(`an unknown filter: ${JSON.stringify(filter)}`);
    if (op === "EQUAL" || op === "IN") need.equalities.push({ fieldPath, kind: "ASCENDING" });
    else if (op === "ARRAY_CONTAINS") need.equalities.push({ fieldPath, kind: "CONTAINS" });
    else if (/^(LESS|GREATER)_THAN(_OR_EQUAL)?$/.test(String(op))) ranges.add(fieldPath);
    else throw new Error(`an unknown operator: ${String(op)}`);
  }
  for (const { field, direction } of query.orderBy ?? []) {
    if (direction !== "ASCENDING" && direction !== "DESCENDING") throw new Error(`an unknown direction: ${direction}`);
    need.sorts.push({ fieldPath: field?.fieldPath ?? "", order: direction });
  }
  const unsorted = [...ranges].find((fieldPath) => need.sorts[0]?.fieldPath !== fieldPath);
  if (unsorted !== undefined || ranges.size > 1) throw new Error("a range must be on the first sorted field");
  return withoutName(need);
}

/** Every index ends with the name, in the direction of the field before it, or ascending. */
function withoutName(need: Need): Need {
  const last = need.sorts.at(-1);
  if (last?.fieldPath !== "__name__") return need;
  const before = need.sorts.at(-2)?.order ?? "ASCENDING";
  return last.order === before ? { ...need, sorts: need.sorts.slice(0, -1) } : need;
}

function filtersOf(where: Filter | null): Filter[] {
  if (where === null) return [];
  if (!where.compositeFilter) return [where];
  if (where.compositeFilter.op !== "AND") throw new Error("only AND is known");
  return (where.compositeFilter.filters ?? []).flatMap((each) => filtersOf(each));
}
