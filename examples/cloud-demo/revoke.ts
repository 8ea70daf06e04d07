/** An operator stops one execution in the middle; the vendor's books say when it stopped. */
import { setTimeout as delay } from "node:timers/promises";
import { type Row, readSums } from "../billing-demo/ledger-books.ts";
import type { DemoProxy } from "../billing-demo/proxy.ts";
import type { DemoVendor, Intent } from "../billing-demo/vendor.ts";

export interface Revocation {
  execution: string;
  /** When the DELETE's answer was here, ms. */
  answeredAt: number;
  /** Calls that were at the vendor then, as the answer says. */
  inFlight: number;
  /** PaymentIntents of the execution that the vendor had right after the answer. */
  created: ReadonlySet<string>;
}

/** Enough is spent to call it the middle, and enough is left to be stopped. */
const MIDDLE = 0.1;
const POLL_MS = 50;
const WAIT_MS = 60_000;

/** Waits for the middle of the execution, then revokes its key. */
export async function revokeInTheMiddle(
  proxy: DemoProxy,
  vendor: DemoVendor,
  { execution, keyId, capMicros }: { execution: string; keyId: string; capMicros: number },
  signal: AbortSignal,
): Promise<Revocation> {
  const deadline = Date.now() + WAIT_MS;
  while ((await readSums(proxy, keyId)).spentMicros < capMicros * MIDDLE) {
    if (Date.now() > deadline) throw new Error(`${execution} has not come to its middle within ${WAIT_MS / 1_000} s`);
    await delay(POLL_MS, undefined, { signal });
  }
  const answer = await proxy.admin("DELETE", `/vault/keys/${keyId}?reason=stopped%20in%20the%20demo`);
  const answeredAt = Date.now();
  const created = new Set((await intentsOf(vendor, execution)).map(({ id }) => id));
  return { execution, answeredAt, inFlight: Number(answer.in_flight), created };
}

export interface StopProof {
  inFlight: number;
  /** PaymentIntents that the vendor made of what was in flight. */
  createdAfter: number;
  /** Refusals because the key was revoked. */
  refusedAfter: number;
  differences: string[];
}

/** What the books say once the execution is over. */
export function proveStop(
  { execution, answeredAt, inFlight, created }: Revocation,
  calls: readonly Row[],
  refusals: Readonly<Record<string, number>>,
  intents: readonly Intent[],
): StopProof {
  const after = intents.filter((intent) => intent.execution === execution && !created.has(intent.id));
  const refusedAfter = refusals.key_revoked ?? 0;
  const differences: string[] = [];
  if (after.length > inFlight) {
    differences.push(
      `${after.length} PaymentIntents were made after the revocation, and only ${inFlight} calls were in flight`,
    );
  }
  for (const call of calls) {
    if (call.createdAt > answeredAt) differences.push(`call ${call.callId} was let through after the revocation`);
  }
  if (refusedAfter === 0) differences.push(`${execution} was over before it was stopped: no call of it was refused`);
  return { inFlight, createdAfter: after.length, refusedAfter, differences };
}

async function intentsOf(vendor: DemoVendor, execution: string): Promise<Intent[]> {
  return (await vendor.intents()).filter((intent) => intent.execution === execution);
}
