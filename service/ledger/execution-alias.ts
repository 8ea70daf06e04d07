/** The name of a Cloud Run execution leads to one key: whoever is bound to it first. */
import type { Logger } from "../log.ts";
import { isRecordName } from "../stores/records.ts";
import type { RecordWrite, Store } from "../stores/store.ts";
import { DAY_MS } from "./balance.ts";
import type { KeyState } from "./types.ts";

/** After the key's end: nobody claims an execution that late, and the key itself goes on to name it. */
const KEPT_MS = 400 * DAY_MS;

/**
 * What the commit that binds the key writes beside it; nothing when the name is this key's already, or another key's: that one
 * keeps it, and is named in the log.
 */
export async function aliasRecords(
  { store, log }: { store: Pick<Store, "record">; log: Logger },
  { keyId, execution, expiresAt }: KeyState,
): Promise<RecordWrite[]> {
  // Whoever issues a key by hand may call its execution what no execution of Cloud Run is called.
  if (execution === null || !isRecordName(execution)) return [];
  const found = await store.record("execution", execution);
  if (!found) {
    const doc = { key_id: keyId };
    return [{ kind: "execution", name: execution, doc, version: null, expiresAt: expiresAt + KEPT_MS }];
  }
  if (found.doc.key_id !== keyId) {
    log.warn(
      { key_id: keyId, execution, first: found.doc.key_id },
      "the execution's name leads to another key already",
    );
  }
  return [];
}
