/**
 * The crash tests at length: `node test/crash/matrix.ts --seed N --for SECONDS`. Each round is a job whose proxy is killed several
 * times, at random steps, from outside, or stopped by SIGTERM; the vendor pays, declines, fails and limits at random. After the
 * last start the ledger must equal the vendor's books, no task may have paid twice, and nothing acknowledged may be lost.
 * A round is determined by its seed but for the machine's own timing. Exit 1 at the first round that fails.
 */
import { parseArgs } from "node:util";
import { seededFloat } from "../../service/stores/faults.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import type { ProbedProxy } from "../support/probed-proxy.ts";
import { steps } from "../support/steps.ts";
import { microsOf, paidChargesOf } from "../support/stripe-books.ts";
import { startStripeStatefulMock } from "../support/vendors/stripe-stateful-mock.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";
import { Job } from "./job.ts";
import { type KillableProxy, LONG_AFTER_MS, reconcile, startKillable } from "./killable-proxy.ts";

const sources = ["tok_visa", "tok_visa", "tok_visa", "tok_chargeDeclined", "tok_500", "tok_429", "declined once"];
/** A card that is declined at the first send and pays at the next ones; the vendor refuses a chain that is over. */
const sourceOf = (source: string, seed: number, task: number): string =>
  source === "declined once" ? `tok_chargeDeclined|tok_visa|${seed}x${task}` : source;

interface Round {
  seed: number;
  float: () => number;
  killable: KillableProxy;
  vendor: VendorServer;
  /** Grows from round to round: a store's time never goes back. */
  aheadMs: number;
}

const below = (float: () => number, bound: number): number => Math.floor(float() * bound);
const pick = <T>(float: () => number, from: readonly T[]): T => from[below(float, from.length)]!;

async function round({ seed, float, killable, vendor, aheadMs }: Round): Promise<string> {
  const { proxy } = killable;
  const label = `matrix/${seed}`;
  const tasks = 6 + below(float, 40);
  const amountCents = 50 + below(float, 2000);
  const capCents = Math.ceil(amountCents * tasks * (0.3 + float()));
  const { keyId, vaultKey } = await proxy.issue({
    ...{ vendor: "stripe", usd_cap: (capCents / 100).toFixed(2), allowed_endpoints: ["*"], label },
    expires_in: "30d",
  });
  const job = new Job({
    ...{ label, vaultKey, target: "/stripe/v1/charges", amountCents },
    sources: Array.from({ length: tasks }, (_, task) => sourceOf(pick(float, sources), seed, task)),
  });
  const ways: string[] = [];
  for (let life = 0; life < 5; life += 1) {
    const some = job.tasks.filter(({ last }) => last === "not_run" || float() < 0.7);
    ways.push(await live({ seed, float, killable, vendor, aheadMs }, job, some));
    if (float() < 0.5) await reconcile(proxy);
    const { spentMicros, reservedMicros } = await ledgerBooks(proxy, keyId, label);
    const paidMicros = microsOf(await paidChargesOf(vendor, label));
    demand(spentMicros <= paidMicros, `spent ${spentMicros}, the vendor has ${paidMicros}`);
    demand(paidMicros <= spentMicros + reservedMicros, `the vendor has ${paidMicros}: more than spent and held`);
  }

  await killable.again({ clockAheadMs: aheadMs + LONG_AFTER_MS });
  const { unknown } = await reconcile(proxy);
  demand(unknown === 0, `${unknown} calls are unknown after the last look`);
  await job.attempt(proxy, job.tasks, 8);
  await killable.again({ clockAheadMs: aheadMs + 2 * LONG_AFTER_MS });
  await reconcile(proxy);
  const end = await ledgerBooks(proxy, keyId, label);
  const charges = await paidChargesOf(vendor, label);
  const payers = new Set(charges.map(({ metadata }) => metadata.task));
  demand(payers.size === charges.length, "a task has paid twice");
  demand(end.reservedMicros === 0, `${end.reservedMicros} are still held`);
  demand(end.spentMicros === microsOf(charges), `spent ${end.spentMicros}, the vendor has ${microsOf(charges)}`);
  const books = new Set(charges.map(({ id }) => id));
  for (const { index, paid } of job.acknowledged) demand(books.has(paid!), `task ${index} was told of ${paid}`);
  return `${ways.join(" ")}: ${charges.length} of ${tasks} paid`;
}

/** One attempt, in which the proxy may die; afterwards it runs again. @returns how it ended. */
async function live({ float, killable, aheadMs }: Round, job: Job, some: Job["tasks"]): Promise<string> {
  const { proxy } = killable;
  const atOnce = 1 + below(float, 16);
  const way = pick(float, ["step", "step", "step", "outside", "SIGTERM", "none"] as const);
  const nth = 1 + below(float, Math.max(1, some.length));
  const step = pick(float, steps);
  const options: ProbedProxy = { clockAheadMs: aheadMs, ...(way === "step" && { killAt: { step, nth } }) };
  await killable.again(options);
  let stopped: Promise<unknown> | null = null;
  await job.attempt(proxy, some, atOnce, (answers) => {
    if (answers !== nth) return;
    if (way === "outside") stopped ??= proxy.kill9();
    if (way === "SIGTERM") stopped ??= proxy.terminate();
  });
  await stopped;
  await killable.again({ clockAheadMs: aheadMs });
  return way === "step" ? `${step}#${nth}` : way;
}

function demand(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

const { values } = parseArgs({ options: { seed: { type: "string" }, for: { type: "string" } } });
const first = Number(values.seed ?? "1");
const seconds = Number(values.for ?? "60");
if (!Number.isSafeInteger(first) || !(seconds > 0)) {
  console.error("usage: node test/crash/matrix.ts --seed N --for SECONDS");
  process.exit(2);
}
const end = performance.now() + seconds * 1000;
const mock = await startStripeStatefulMock();
let rounds = 0;
let failed = false;
const vendor = { ...mock, secret: `sk_test_matrix_${first}_0123456789` };
const killable = await startKillable(vendor, {});
for (let seed = first; performance.now() < end && !failed; seed += 1) {
  try {
    const aheadMs = rounds * 3 * LONG_AFTER_MS;
    const ended = await round({ seed, float: seededFloat(seed), killable, vendor, aheadMs });
    console.log(`seed ${seed}: ${ended}`);
    rounds += 1;
  } catch (error) {
    failed = true;
    console.error(`seed ${seed} failed after ${rounds} good rounds:`, error);
    console.error(killable.proxy.logs().slice(-5).join("\n"));
  }
}
await killable.proxy.stop();
await mock.stop();
console.log(`${rounds} rounds held`);
process.exit(failed ? 1 : 0);
