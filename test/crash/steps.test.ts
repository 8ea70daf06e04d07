/**
 * Goal: wherever in a call's life the process is killed, nothing acknowledged is lost, nobody is charged twice, the cap holds, and
 * after repeats and a reconciliation the ledger equals the vendor's books.
 * Method: the whole service in a child process that sends itself SIGKILL at one step of the data plane, with eight calls under way;
 * the vendor is another process and lives on. Then a start on the same file, attempt 1 of some tasks under other random keys, and
 * look-ups, first at once and then with a clock 30 minutes ahead, since absence proves nothing before. Run on both stores.
 * Limit: the kernel lives on, so this is no power loss; simulated vendors; one kill a run (`matrix.ts` does many).
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Step } from "../../service/data/data-plane.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import { KILLED_ITSELF } from "../support/probed-proxy.ts";
import { steps } from "../support/steps.ts";
import { intentsOf, microsOf, paidChargesOf, type VendorObject } from "../support/stripe-books.ts";
import { startEmulate } from "../support/vendors/emulate.ts";
import { startStripeStatefulMock } from "../support/vendors/stripe-stateful-mock.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";
import { Job } from "./job.ts";
import { type KillableProxy, LONG_AFTER_MS, reconcile, startKillable } from "./killable-proxy.ts";

const timeout = 120_000;
const AT_ONCE = 8;
const TASKS = 24;
/** Of 24 tasks at $3.00 the cap of $54.00 lets 18 through. */
const CAP = "54.00";
const PAYMENTS = 18;
const sources = Array.from({ length: TASKS }, () => "tok_visa");

const tasksOf = (objects: readonly VendorObject[]): string[] => objects.map(({ metadata }) => String(metadata.task));

/** Starts the job, and sees the proxy kill itself in the middle of it. */
async function startAndDie(killable: KillableProxy, step: Step, target: string) {
  const { proxy } = killable;
  const label = `crash/${step}`;
  const { keyId, vaultKey } = await proxy.issue({ vendor: "stripe", usd_cap: CAP, allowed_endpoints: ["*"], label });
  const job = new Job({ label, vaultKey, target, amountCents: 300, sources });
  await job.attempt(proxy, job.tasks, AT_ONCE);
  expect(job.lost.length).toBeGreaterThan(0);
  expect(await proxy.ended()).toBe("SIGKILL");
  expect(proxy.logs()).toContain(`${KILLED_ITSELF} ${step}`);
  return { proxy, label, keyId, job };
}

describe("a proxy that is killed in front of a vendor that honours idempotency keys", () => {
  let mock: VendorServer;
  beforeAll(async () => {
    mock = await startStripeStatefulMock();
  });
  afterAll(() => mock?.stop());

  it.each(steps)("at the step %s", { timeout }, async (step) => {
    // Each secret is an account of its own there.
    const vendor = { ...mock, secret: `sk_test_crash_${step}_0123456789` };
    const killable = await startKillable(vendor, { killAt: { step, nth: 5 } });
    try {
      const { proxy, label, keyId, job } = await startAndDie(killable, step, "/stripe/v1/charges");
      const told = job.acknowledged.map(({ paid }) => paid);
      await killable.againAndFound();

      const found = await ledgerBooks(proxy, keyId, label);
      expect(found.states.reserved).toBeUndefined();
      expect(found.calls.map(({ object_id }) => object_id)).toEqual(expect.arrayContaining(told));
      const before = await paidChargesOf(vendor, label);
      expect(found.spentMicros + found.reservedMicros).toBeGreaterThanOrEqual(microsOf(before));

      // Every other lost task runs again, and every one that was answered: the shield must tell them what they were told.
      const again = job.tasks.filter(({ last, index }) => last !== "lost" || index % 2 === 0);
      await job.attempt(proxy, again, AT_ONCE);
      expect(again.filter(({ last }) => last !== "paid" && last !== "cap_exhausted")).toEqual([]);
      expect(new Set(tasksOf(await paidChargesOf(vendor, label))).size).toBe(
        (await paidChargesOf(vendor, label)).length,
      );

      await reconcile(proxy);
      const settled = await ledgerBooks(proxy, keyId, label);
      expect(settled.spentMicros).toBe(microsOf(await paidChargesOf(vendor, label)));
      expect(settled.reservedMicros).toBe(3_000_000 * (settled.states.unknown ?? 0));

      await killable.again({ clockAheadMs: LONG_AFTER_MS });
      expect((await reconcile(proxy)).unknown).toBe(0);
      await job.attempt(proxy, job.tasks, AT_ONCE);

      const charges = await paidChargesOf(vendor, label);
      const end = await ledgerBooks(proxy, keyId, label);
      expect(charges).toHaveLength(PAYMENTS);
      expect(new Set(tasksOf(charges)).size).toBe(PAYMENTS);
      expect(end).toMatchObject({ spentMicros: microsOf(charges), reservedMicros: 0 });
      expect(job.acknowledged.map(({ paid }) => paid).sort()).toEqual(charges.map(({ id }) => id).sort());
      expect(job.tasks.filter(({ last }) => last === "cap_exhausted")).toHaveLength(TASKS - PAYMENTS);
    } finally {
      await killable.proxy.stop();
    }
  });
});

describe("a payment that was declined, tried again, and whose second try the proxy did not live to see", () => {
  it.each<[Step, number]>([
    ["before_send", 0],
    ["answered", 1],
  ])("at the step %s, is not taken for the declined one when it is looked up", { timeout }, async (step, paid) => {
    const mock = await startStripeStatefulMock();
    const killable = await startKillable(mock, { killAt: { step, nth: 2 } });
    try {
      const { proxy } = killable;
      const label = "crash/declined";
      const { keyId, vaultKey } = await proxy.issue({
        vendor: "stripe",
        usd_cap: CAP,
        allowed_endpoints: ["*"],
        label,
      });
      const source = "tok_chargeDeclined|tok_visa|twice";
      const job = new Job({ label, vaultKey, target: "/stripe/v1/charges", amountCents: 300, sources: [source] });
      await job.attempt(proxy, job.tasks, 1);
      expect(job.tasks[0]?.last).toBe("declined");
      await job.attempt(proxy, job.tasks, 1);
      expect(job.tasks[0]?.last).toBe("lost");
      expect(await proxy.ended()).toBe("SIGKILL");

      await killable.againAndFound();
      await killable.again({ clockAheadMs: LONG_AFTER_MS });
      expect((await reconcile(proxy)).unknown).toBe(0);
      const charges = await paidChargesOf(mock, label);
      expect(charges).toHaveLength(paid);
      const books = await ledgerBooks(proxy, keyId, label);
      expect(books.spentMicros).toBe(microsOf(charges));
      expect(books.states).toEqual(paid === 1 ? { settled: 1 } : { released: 1 });
    } finally {
      await killable.proxy.stop();
      await mock.stop();
    }
  });
});

describe("a proxy that is killed in front of a vendor that knows no idempotency", () => {
  it.each<Step>(["before_send", "sent", "answered"])(
    "at the step %s, is reconciled first, and then no task pays twice",
    { timeout },
    async (step) => {
      const vendor = await startEmulate("stripe");
      const killable = await startKillable(vendor, { killAt: { step, nth: 5 } });
      try {
        const { proxy, label, keyId, job } = await startAndDie(killable, step, "/stripe/v1/payment_intents");
        // Its calls are unknown from this start on, and that is what the 15 minutes are counted from.
        const found = await killable.againAndFound();
        await killable.again({ clockAheadMs: LONG_AFTER_MS });
        const { settled, released, unknown } = await reconcile(proxy);
        expect(unknown).toBe(0);
        expect(found + settled + released).toBeGreaterThan(0);
        const looked = await ledgerBooks(proxy, keyId, label);
        expect(looked.spentMicros).toBe(microsOf(await intentsOf(vendor, label)));

        await job.attempt(proxy, job.tasks, AT_ONCE);
        const intents = await intentsOf(vendor, label);
        expect(new Set(tasksOf(intents)).size).toBe(PAYMENTS);
        expect(intents).toHaveLength(PAYMENTS);
        const end = await ledgerBooks(proxy, keyId, label);
        expect(end).toMatchObject({ spentMicros: microsOf(intents), reservedMicros: 0 });
        expect(job.acknowledged.map(({ paid }) => paid).sort()).toEqual(intents.map(({ id }) => id).sort());
      } finally {
        await killable.proxy.stop();
        await vendor.stop();
      }
    },
  );
});
