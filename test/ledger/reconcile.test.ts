/**
 * Goal: every open call is looked at in its turn, however many others stay open.
 * Method: the reconciler over a ledger in memory and the real Stripe connector; the vendor answers that it has nothing yet.
 * Limit: what a look-up proves is the connectors' tests' matter.
 */
import { expect, test } from "vitest";
import { createReconciler } from "../../service/ledger/reconcile.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { ask, issued, makeWorld, ownKey, quiet, send, timedOut } from "./fixture.ts";

test("a run goes on behind the calls that the run before looked at, and after the last with the first", async () => {
  const { store, ledger, clock } = makeWorld();
  const { keyId } = await issued(ledger);
  const ids: string[] = [];
  for (const n of [0, 1, 2, 3, 4]) {
    ids.push((await send(ledger, keyId, ask({ clientKey: ownKey(`${n}`), lookup: "" }), timedOut)).call.id);
  }
  const looked: string[] = [];
  const reconcile = createReconciler({
    store,
    ledger,
    vendors: loadVendors({ now: () => clock.now() }),
    clock,
    log: quiet,
    read: async () => ({ status: 200, headers: {}, json: { data: [], has_more: false } }),
    openLookup: (call) => {
      looked.push(call.id);
      return { body: {}, headers: {} };
    },
    maxCalls: 2,
  });
  for (const reported of [2, 2, 1, 2]) expect(await reconcile()).toMatchObject({ looked: reported, unknown: reported });
  expect(looked).toEqual([...ids, ids[0], ids[1]]);
});
