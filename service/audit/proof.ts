/**
 * The proof of a key's balance: the records of its hash chain up to one head, walked page by page, hashes and sums checked on
 * the way. The head is read first and records are never changed, so that the walk is one snapshot while the chain grows.
 */
import { ChainVerifier } from "../ledger/chain.ts";
import type { ChainRecord, KeyState } from "../ledger/types.ts";
import type { Store } from "../stores/store.ts";

/** Chain pages read at once, and worked on in one turn of the event loop; each holds the records of one commit, at most some hundred. */
const PAGES_AT_ONCE = 2;

export interface ProofEnd {
  records: number;
  capMicros: number | null;
  spentMicros: number;
  reservedMicros: number;
  chainHead: string;
  verified: boolean;
  fault: string | null;
  /** The records' time is over: nothing is proved, and sums and head are what the key's document says. */
  retentionPassed: boolean;
}

/** Yields the records in their order; returns what they prove. */
export async function* walkProof(
  store: Pick<Store, "listPages">,
  key: KeyState,
): AsyncGenerator<ChainRecord[], ProofEnd> {
  const verifier = new ChainVerifier();
  let capMicros: number | null = null;
  let from = 0;
  while (from < key.chainLength) {
    const pages = await store.listPages(key.keyId, from, PAGES_AT_ONCE);
    const records = pages.flatMap((page) => page.records).filter((record) => record.n < key.chainLength);
    if (records.length === 0) break;
    for (const record of records) {
      verifier.add(record);
      if (record.capMicros !== null) capMicros = record.capMicros;
    }
    yield records;
    from = records.at(-1)!.n + 1;
    await new Promise(setImmediate);
  }
  const fault = verifier.fault ?? misfit(verifier, capMicros, key);
  return {
    records: verifier.length,
    capMicros,
    spentMicros: verifier.spentMicros,
    reservedMicros: verifier.reservedMicros,
    chainHead: verifier.head,
    verified: fault === null,
    fault,
    retentionPassed: false,
  };
}

/** For a key whose records are not kept any more. */
export function noProof({ capMicros, spentMicros, reservedMicros, chainHead }: KeyState): ProofEnd {
  const said = { capMicros, spentMicros, reservedMicros, chainHead };
  return { ...said, records: 0, verified: false, fault: null, retentionPassed: true };
}

function misfit(chain: ChainVerifier, capMicros: number | null, key: KeyState): string | null {
  if (chain.length !== key.chainLength) return `the chain ends after ${chain.length} of ${key.chainLength} records`;
  if (chain.head !== key.chainHead) return "the last record is not the key's chain head";
  if (chain.spentMicros !== key.spentMicros) return "the records do not add up to what the key has spent";
  if (chain.reservedMicros !== key.reservedMicros) return "the records do not add up to what the key has reserved";
  if (capMicros !== key.capMicros) return "the last cap of the records is not the key's cap";
  return null;
}
