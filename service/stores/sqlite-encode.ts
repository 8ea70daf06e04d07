/**
 * Turns a commit into rows, each document encoded once. Rows are flat tuples of text and numbers: an order of magnitude
 * less to copy than objects when the database lives in another thread.
 */
import type { Call, Doc, DocId, Receipt } from "../ledger/types.ts";
import { isOpenCall } from "./filters.ts";
import { type EncodedRecord, encodeRecord } from "./sqlite-records.ts";
import type { Commit } from "./store.ts";

export type Op = "create" | "put";

/** What `calls` has beside the id and the document. */
export type CallColumns = [
  keyId: string,
  owner: string,
  label: string,
  execution: string | null,
  vendor: string,
  task: number | null,
  state: string,
  open: 0 | 1,
  createdAt: number,
];

export type EncodedWrite =
  | readonly ["delete", id: DocId]
  | readonly ["call", Op, id: string, json: string, ...CallColumns]
  | readonly ["receipt", Op, callId: string, sealed: string, expiresAt: number]
  | readonly ["doc", Op, id: string, json: string];

export interface EncodedCommit {
  keyId: string;
  version: number | null;
  label: string;
  execution: string | null;
  owner: string;
  state: string;
  page: readonly [first: number, last: number, json: string] | null;
  writes: EncodedWrite[];
  records: EncodedRecord[];
  /** The injected clock when the commit was asked for, ms. */
  now: number;
  /** Roughly the bytes of it all. */
  size: number;
}

export function encodeCommit(keyId: string, commit: Commit, now: number): EncodedCommit {
  const { state, page, version } = commit;
  const json = JSON.stringify(state);
  let size = json.length;
  const writes = commit.writes.map((write) => {
    const encoded: EncodedWrite =
      write.op === "delete" ? ["delete", write.id] : encodeDoc(write.op, write.id, write.doc);
    size += encoded[3]?.length ?? 0;
    return encoded;
  });
  const records = (commit.records ?? []).map(encodeRecord);
  for (const record of records) size += record[3].length;
  return {
    keyId,
    // A text that no commit answered becomes NaN, which equals no version.
    version: version === null ? null : Number(version),
    label: state.label,
    execution: state.execution,
    owner: state.owner,
    state: json,
    page: page && [page.first, page.first + page.records.length - 1, JSON.stringify(page)],
    writes,
    records,
    now,
    size,
  };
}

function encodeDoc(op: Op, id: DocId, doc: Doc): EncodedWrite {
  if (id.startsWith("r:")) {
    const { sealed, expiresAt } = doc as Receipt;
    return ["receipt", op, id.slice(2), sealed, expiresAt];
  }
  const json = JSON.stringify(doc);
  if (id.startsWith("c:")) return ["call", op, id.slice(2), json, ...callColumns(doc as Call)];
  return ["doc", op, id, json];
}

function callColumns(call: Call): CallColumns {
  return [
    call.keyId,
    call.owner,
    call.label,
    call.execution,
    call.vendor,
    call.task,
    call.state,
    isOpenCall(call) ? 1 : 0,
    call.createdAt,
  ];
}
