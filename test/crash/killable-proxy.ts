/** The service over one store, started again and again with another fail point, clock or bound each time. */
import { type ProbedProxy, probedProxy } from "../support/probed-proxy.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

export interface KillableProxy {
  proxy: RunningProxy;
  /** SIGKILL if it still lives, then a start on the same store. */
  again(options: ProbedProxy): Promise<void>;
  /**
   * As `again`, and then the calls of the dead process are unknown: at once where one process owns the store; on a store that
   * other instances use when their leases are over and somebody looks. @returns how many of them that look has ended.
   */
  againAndFound(): Promise<number>;
}

export async function startKillable(vendor: VendorServer, first: ProbedProxy): Promise<KillableProxy> {
  let options = first;
  const proxy = await startProxy({ vendors: { stripe: vendor }, entry: () => probedProxy(options) });
  const again = async (next: ProbedProxy): Promise<void> => {
    options = next;
    await proxy.restart();
  };
  return {
    proxy,
    again,
    againAndFound: async () => {
      await again(proxy.sharedStore ? { clockAheadMs: LEASES_OVER_MS } : {});
      if (!proxy.sharedStore) return 0;
      const { settled, released } = await reconcile(proxy);
      return settled + released;
    },
  };
}

/** A lease is two minutes, and instances' clocks may differ by five. */
const LEASES_OVER_MS = 8 * 60_000;

/** Absence at the vendor proves something only 15 minutes after the last send; this is past it. */
export const LONG_AFTER_MS = 30 * 60_000;

export interface Reconciled {
  settled: number;
  released: number;
  unknown: number;
}

export async function reconcile(proxy: RunningProxy): Promise<Reconciled> {
  const { status, body } = await proxy.admin("POST", "/reconcile");
  if (status !== 200) throw new Error(`POST /reconcile answered ${status} ${JSON.stringify(body)}`);
  return { settled: Number(body.settled), released: Number(body.released), unknown: Number(body.unknown) };
}
