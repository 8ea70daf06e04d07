/** What committing-child.ts commits: one place for the child and for the tests that end it badly. */
import type { Call, CallState } from "../../service/ledger/types.ts";
import { sampleCall } from "./samples.ts";

export const CALLS_PER_COMMIT = 5;

export function committedCall(keyId: string, sequence: number, n: number, state: CallState): Call {
  return sampleCall(`${keyId}-${sequence}-${n}`, { keyId, label: `label-of-${keyId}`, state, generation: sequence });
}
