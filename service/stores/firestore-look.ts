/**
 * What a refused commit means. Firestore says that some precondition did not hold, not whose; and Google's own front ends may
 * have sent the commit twice, so that the refusal is of the second one though the first applied. One look decides.
 */
import type { DocId } from "../ledger/types.ts";
import type { FirestoreConnection, FoundDoc } from "./firestore-client.ts";
import type { Plan } from "./firestore-commit.ts";
import { recordPath } from "./firestore-records.ts";
import { callPath, docPath, keyPath, pagePath } from "./firestore-rows.ts";
import { textOf } from "./firestore-values.ts";
import type { Commit, CommitResult, Version } from "./store.ts";

export type Seen =
  | Exclude<CommitResult, { kind: "committed" }>
  /** It had applied. */
  | { kind: "applied"; version: Version }
  /** Calls that are not there, of which a receipt was to be deleted. */
  | { kind: "without"; calls: string[] };

/** Throws {@link RpcFailure}, and an `Error` when the commit breaks a rule of the store. */
export async function look(connection: FirestoreConnection, keyId: string, commit: Commit, plan: Plan): Promise<Seen> {
  const { page, version } = commit;
  const pageAt = page && pagePath(keyId, page.first + page.records.length - 1);
  const found = await connection.get([keyPath(keyId), ...(pageAt === null ? [] : [pageAt])]);
  const key = found.get(keyPath(keyId));
  if (key && beatOf(key) === plan.beat) return { kind: "applied", version: key.version };
  // It applied, and another commit followed: the ledger finds out by itself.
  if (pageAt !== null && beatOf(found.get(pageAt)) === plan.beat) return { kind: "doubt" };
  if ((key?.version ?? null) !== version) return { kind: "conflict" };
  return lookFurther(connection, keyId, commit, plan, pageAt);
}

/** The key is at its version: something else of the commit was in the way. */
async function lookFurther(
  connection: FirestoreConnection,
  keyId: string,
  { records = [], page, version, writes }: Commit,
  { created, receiptsOf, receiptsGone }: Plan,
  pageAt: string | null,
): Promise<Seen> {
  const places = records.map(({ kind, name }) => recordPath(kind, name));
  const receipts = writes.filter(({ op, id }) => op === "create" && id.startsWith("r:")).map(({ id }) => id);
  const asked = [...created, ...receipts].map(docPath);
  const calls = [...receiptsOf, ...receiptsGone].map(callPath);
  const found = await connection.get([
    ...[keyPath(keyId), ...places, ...asked, ...calls],
    ...(pageAt === null ? [] : [pageAt]),
  ]);
  if ((found.get(keyPath(keyId))?.version ?? null) !== version) return { kind: "conflict" };
  const stale = records.some(({ version: at }, index) => (found.get(places[index]!)?.version ?? null) !== at);
  if (stale) return { kind: "conflict" };
  const ids = created.filter((id) => found.has(docPath(id)));
  const kept = receipts.filter((id) => textOf(found.get(docPath(id))?.fields, "pack") !== null);
  if (ids.length + kept.length > 0) return { kind: "exists", ids: [...ids, ...(kept as DocId[])] };
  const orphan = receiptsOf.find((callId) => !found.has(callPath(callId)));
  if (orphan !== undefined) throw new Error(`The receipt r:${orphan} is of no call.`);
  const gone = receiptsGone.filter((callId) => !found.has(callPath(callId)));
  if (gone.length > 0) return { kind: "without", calls: gone };
  if (pageAt !== null && found.has(pageAt)) throw new Error(`Chain number ${page?.first} of key ${keyId} is taken.`);
  // Whatever it was is over (a lock that another commit held, say).
  return { kind: "conflict" };
}

const beatOf = (found: FoundDoc | undefined): string | null => textOf(found?.fields, "beat");
