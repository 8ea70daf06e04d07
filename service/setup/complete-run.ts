/** The last steps of a run: its key bound to its execution, or revoked because there is none. */
import { Refusal } from "../errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { keyIdOf } from "../ledger/open-ledger.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Logger } from "../log.ts";
import { ownerOf } from "../policies/policy.ts";
import type { Run } from "./run-record.ts";

export interface CompleteDeps {
  ledger: Pick<Ledger, "act" | "fresh">;
  log: Logger;
}

/** @returns the key as it is then; `null` when it is not kept any more. */
export async function completeRun(deps: CompleteDeps, run: Run, by: string): Promise<KeyState | null> {
  const { key_id: keyId, execution } = run.doc;
  const key = keyId === null ? null : await deps.ledger.fresh(keyId);
  if (!key || execution === null) return key;
  return key.execution === execution ? key : bind(deps, run, key, execution, by);
}

async function bind(deps: CompleteDeps, run: Run, key: KeyState, execution: string, by: string): Promise<KeyState> {
  try {
    return await deps.ledger.act(key.keyId, { act: "bind", execution, by });
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "call_state") throw error;
    // The run was started all the same, and asking again would change nothing.
    deps.log.error(
      { run_id: run.id, execution, key_id: key.keyId },
      "the key of this run is bound to another execution",
    );
    return key;
  }
}

/** Revokes the key that the run may have: nothing that starts later can spend. */
export async function closeKey(deps: CompleteDeps, run: Run, by: string, reason: string): Promise<void> {
  const keyId = keyIdOf(ownerOf(run.doc.policy), run.doc.label);
  const key = await deps.ledger.fresh(keyId);
  if (!key || key.status === "revoked") return;
  await deps.ledger.act(keyId, { act: "revoke", by, reason });
}
