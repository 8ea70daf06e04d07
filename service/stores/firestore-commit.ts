/**
 * From a commit to the writes of one request: the key with its precondition, the page, calls, small documents, receipts in
 * packs, records. Several writes of one document become one, so that what is billed is what is kept.
 */
import type { Call, Doc, DocId, Receipt } from "../ledger/types.ts";
import type { ApiWrite } from "./firestore-client.ts";
import { Packs } from "./firestore-packs.ts";
import { recordWrite } from "./firestore-records.ts";
import {
  callColumns,
  callFields,
  callPath,
  docPath,
  keyFields,
  keyPath,
  lowestOrder,
  pagePath,
  type RowOrder,
} from "./firestore-rows.ts";
import { text, time, updateTimeOf, type Value, whole } from "./firestore-values.ts";
import type { Commit, Write } from "./store.ts";

export interface PlanContext {
  /** Names of documents begin so. */
  root: string;
  order: RowOrder;
  /** A fresh random text: letters and digits. */
  randomId: () => string;
  /** How long after the key's end its documents are kept, ms. */
  retentionMs: number;
}

export interface Plan {
  /**
   * The key's write is the last. The emulator shows the documents of a commit one after the other (seen 2026-11: one read in a
   * hundred under writes), so whoever sees the key's new version sees all that came with it.
   */
  writes: ApiWrite[];
  /** What the key and the page carry of this commit and of no other. */
  beat: string;
  /** Documents that must not exist. */
  created: DocId[];
  /** Calls that must exist, since a receipt of theirs is written and they are not. */
  receiptsOf: string[];
  /** Calls of which a receipt alone is deleted: they need not exist. */
  receiptsGone: string[];
}

/** What the writes of one document come to. */
interface Change {
  /** The first of them was a creation. */
  create: boolean;
  /** `undefined`: left as it is; `null`: deleted. */
  doc: Doc | null | undefined;
  /** The document that was there before is gone in between. */
  replaced: boolean;
  /** Of a call: `undefined`: left as it is; `null`: deleted. */
  receipt: Receipt | null | undefined;
}

/** @param without calls whose receipt is not deleted after all, since they do not exist. */
export function planCommit(
  keyId: string,
  commit: Commit,
  context: PlanContext,
  without: ReadonlySet<string> = new Set(),
): Plan | null {
  const beat = context.randomId();
  const key = keyWrite(keyId, commit, beat, context);
  if (key === null) return null;
  const plan: Plan = { writes: [], beat, created: [], receiptsOf: [], receiptsGone: [] };
  const forgetAt = commit.state.expiresAt + context.retentionMs;
  const expireAt = time(forgetAt);
  if (commit.page) {
    const { page } = commit;
    if (page.records.length === 0) throw new Error(`The chain page ${page.first} of key ${keyId} is empty.`);
    plan.writes.push({
      update: {
        name: `${context.root}/${pagePath(keyId, page.first + page.records.length - 1)}`,
        fields: { doc: text(JSON.stringify(page)), beat: text(beat), expireAt },
      },
      currentDocument: { exists: false },
    });
  }
  const packs = new Packs(context);
  for (const [id, change] of merged(commit.writes)) {
    if (change.create) plan.created.push(id);
    if (!id.startsWith("c:")) plan.writes.push(smallWrite(id, change, expireAt, context.root));
    else if (!without.has(id.slice(2)))
      plan.writes.push(...callWrites(id.slice(2), change, { forgetAt, packs, context, plan }));
  }
  plan.writes.push(...packs.writes());
  for (const record of commit.records ?? []) {
    const write = recordWrite(record, context);
    if (write === null) return null;
    plan.writes.push(write);
  }
  plan.writes.push(key);
  return plan;
}

/** @returns `null` for a version that no commit of this store answered. */
function keyWrite(
  keyId: string,
  { version, state }: Commit,
  beat: string,
  { root, order }: PlanContext,
): ApiWrite | null {
  const name = `${root}/${keyPath(keyId)}`;
  const fields = keyFields(state, beat);
  if (version === null) {
    fields.order = whole(order.next(state.createdAt));
    return { update: { name, fields }, currentDocument: { exists: false } };
  }
  const updateTime = updateTimeOf(version);
  if (updateTime === null) return null;
  return { update: { name, fields }, updateMask: { fieldPaths: Object.keys(fields) }, currentDocument: { updateTime } };
}

/** One change per document, in the order of the first write of each. Throws for what no order of writes can mean. */
function merged(writes: readonly Write[]): Map<DocId, Change> {
  const changes = new Map<DocId, Change>();
  for (const write of writes) {
    const ofReceipt = write.id.startsWith("r:");
    const id: DocId = ofReceipt ? `c:${write.id.slice(2)}` : write.id;
    const before = changes.get(id);
    const change = before ?? { create: false, doc: undefined, replaced: false, receipt: undefined };
    changes.set(id, change);
    if (ofReceipt) {
      if (write.op === "delete") change.receipt = null;
      else if (change.doc === null) throw new Error(`The receipt ${write.id} is of no call.`);
      else change.receipt = write.doc as Receipt;
      continue;
    }
    if (write.op === "delete") {
      Object.assign(change, { doc: null, replaced: true, receipt: undefined });
      continue;
    }
    if (write.op === "create") {
      if (before?.doc) throw new Error(`A commit creates ${id} after it wrote it.`);
      if (!before) change.create = true;
    }
    change.doc = write.doc;
  }
  return changes;
}

function smallWrite(id: DocId, { create, doc }: Change, expireAt: Value, root: string): ApiWrite {
  const name = `${root}/${docPath(id)}`;
  return {
    ...(doc ? { update: { name, fields: { doc: text(JSON.stringify(doc)), expireAt } } } : { delete: name }),
    ...(create && { currentDocument: { exists: false } }),
  };
}

interface CallContext {
  forgetAt: number;
  packs: Packs;
  context: PlanContext;
  plan: Plan;
}

function callWrites(callId: string, change: Change, { forgetAt, packs, context, plan }: CallContext): ApiWrite[] {
  const name = `${context.root}/${callPath(callId)}`;
  const absent = change.create && { currentDocument: { exists: false } };
  if (change.doc === null) return [{ delete: name, ...absent }];
  const pack = change.receipt && { pack: text(packs.add(callId, change.receipt)) };
  if (change.doc === undefined) {
    (change.receipt ? plan.receiptsOf : plan.receiptsGone).push(callId);
    const update = { name, fields: { ...pack } };
    return [{ update, updateMask: { fieldPaths: ["pack"] }, currentDocument: { exists: true } }];
  }
  const call = change.doc as Call;
  const fields = { ...callFields(call, forgetAt), ...pack };
  if (change.create || change.replaced) {
    const order = whole(context.order.next(call.createdAt));
    return [{ update: { name, fields: { ...fields, order } }, ...absent }];
  }
  return [
    {
      update: { name, fields },
      updateMask: { fieldPaths: change.receipt === undefined ? callColumns : [...callColumns, "pack"] },
      // No row has a smaller number than this, so each keeps the one that it was made with; only a row that is not there gets it.
      updateTransforms: [{ fieldPath: "order", maximum: whole(lowestOrder(call.createdAt)) }],
    },
  ];
}
