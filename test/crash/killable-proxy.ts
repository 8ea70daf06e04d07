/** The service over one SQLite file, started again and again with another fail point, clock or bound each time. */
import { type ProbedProxy, probedProxy } from "../support/probed-proxy.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

export interface KillableProxy {
  proxy: RunningProxy;
  /** SIGKILL if it still lives, then a start on the same files. */
  again(options: ProbedProxy): Promise<void>;
}

export async function startKillable(vendor: VendorServer, first: ProbedProxy): Promise<KillableProxy> {
  let options = first;
  const proxy = await startProxy({ vendors: { stripe: vendor }, entry: () => probedProxy(options) });
  return {
    proxy,
    again: async (next) => {
      options = next;
      await proxy.restart();
    },
  };
}

/** Absence at the vendor proves something only 15 minutes after the last send; this is past it. */
export const LONG_AFTER_MS = 20 * 60_000;

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
