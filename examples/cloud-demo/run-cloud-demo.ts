/** `npm run demo -- --cloud` from set-up to bills: read this first. */
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildImage } from "../billing-demo/build-image.ts";
import { compareBooks } from "../billing-demo/compare-books.ts";
import { readLedger } from "../billing-demo/ledger-books.ts";
import type { DemoOptions } from "../billing-demo/options.ts";
import { type DemoProxy, startProxy } from "../billing-demo/proxy.ts";
import type { DemoResult } from "../billing-demo/run-demo.ts";
import { type DemoVendor, type Intent, startVendor } from "../billing-demo/vendor.ts";
import { type Emulator, startEmulator } from "../local-cloud/firestore-emulator.ts";
import { type LocalCloud, startLocalCloud } from "../local-cloud/local-cloud.ts";
import type { CloudProgress } from "./cloud-progress.ts";
import { fireTicks, type Night, ways } from "./fire-ticks.ts";
import { type Intrusion, intrude } from "./intrude.ts";
import { AUDIENCE, DATABASE, JOB, LOCATION, OPERATOR, PEPPER_SECRET, PROJECT, STRIPE_SECRET } from "./place.ts";
import { demoPolicies, writePolicies } from "./policies.ts";
import { proveStop, revokeInTheMiddle, type StopProof } from "./revoke.ts";

export interface CloudDemoResult {
  nights: (Night & { books: DemoResult })[];
  /** The last night's, which was revoked in the middle. */
  stop: StopProof;
  intrusions: Intrusion[];
  /** Executions of the job that Cloud Run has, and keys that the proxy has. */
  executions: number;
  keys: number;
  /** PaymentIntents that the vendor has, of whatever execution. */
  vendorObjects: number;
  seconds: number;
}

const FAILURE_LOG_CHARACTERS = 4_000;

/** @param directory a temporary one; everything that the run writes is in it. */
export async function runCloudDemo(
  options: DemoOptions,
  directory: string,
  progress: CloudProgress,
  signal: AbortSignal,
): Promise<CloudDemoResult> {
  const started = performance.now();
  const logFile = join(directory, "tasks.log");
  const logFd = openSync(logFile, "a");
  const stops: (() => Promise<void>)[] = [async () => closeSync(logFd)];
  try {
    const vendor = await startVendor(options, signal);
    stops.push(vendor.stop);
    const emulator = await startEmulator();
    stops.push(emulator.stop);
    const cloud = await startLocalCloud({ project: PROJECT, location: LOCATION, logFd });
    stops.push(cloud.close);
    const image = await buildImage(join(directory, "image"));
    signal.throwIfAborted();
    signal.addEventListener("abort", () => void cloud.close());
    const proxy = await deploy(options, vendor, emulator, cloud);
    stops.push(proxy.stop);
    signal.throwIfAborted();
    const customersFile = join(directory, "customers.json");
    writeFileSync(customersFile, JSON.stringify(vendor.customers));
    progress.begin(proxy, options, vendor.title);

    const template = { options, image, proxyUrl: proxy.url, customersFile, directory };
    const nights = await fireTicks(cloud, proxy, template, progress, signal);
    const last = nights.at(-1)!;
    const [intrusions, revocation] = await Promise.all([
      intrude(cloud, proxy.url, nights[0]!.execution, logFile),
      revokeInTheMiddle(proxy, vendor, { ...last, capMicros: options.capMicros }, signal),
    ]);
    progress.revoked(last.execution);
    for (const { execution } of nights) await cloud.ended(execution);
    signal.throwIfAborted();
    await progress.end();

    const intents = await vendor.intents();
    const read: CloudDemoResult["nights"] = [];
    for (const night of nights)
      read.push({ ...night, books: await readBooks(night, { cloud, proxy, vendor, intents, logFile }) });
    const { ledger } = read.at(-1)!.books;
    return {
      nights: read,
      stop: proveStop(revocation, ledger.calls, ledger.sums.refusals, intents),
      intrusions,
      executions: cloud.executions().filter(({ job }) => job === JOB).length,
      keys: ((await proxy.admin("GET", "/vault/keys")).keys as unknown[]).length,
      vendorObjects: intents.length,
      seconds: Math.round((performance.now() - started) / 100) / 10,
    };
  } finally {
    await progress.end();
    for (const stop of stops.reverse()) await stop();
  }
}

/** What `pulumi up` does on Google Cloud: secrets, policies, and the proxy with its variables. */
async function deploy(
  options: DemoOptions,
  vendor: DemoVendor,
  emulator: Emulator,
  cloud: LocalCloud,
): Promise<DemoProxy> {
  cloud.addSecretVersion(STRIPE_SECRET, vendor.secret);
  // Without a version: the proxy makes the first one.
  cloud.createSecret(PEPPER_SECRET);
  await writePolicies(emulator.host, demoPolicies(options.capMicros, ways.length));
  const env = {
    PATH: process.env.PATH ?? "",
    FIRESTORE_EMULATOR_HOST: emulator.host,
    KEYBRAKE_STORE: `firestore:${PROJECT}/${DATABASE}`,
    KEYBRAKE_GOOGLE_APIS: cloud.url,
    KEYBRAKE_PEPPER: PEPPER_SECRET,
    KEYBRAKE_AUDIENCE: AUDIENCE,
    KEYBRAKE_VENDORS: JSON.stringify({
      stripe: { secret: STRIPE_SECRET, ...(vendor.upstream !== null && { upstream: vendor.upstream }) },
    }),
  };
  return startProxy(env, () => cloud.idToken(OPERATOR, AUDIENCE));
}

interface Books {
  cloud: LocalCloud;
  proxy: DemoProxy;
  vendor: DemoVendor;
  intents: readonly Intent[];
  logFile: string;
}

/** Ledger and vendor, asked by the execution's name: the key's label is bound to it. */
async function readBooks(
  { execution, keyId }: Night,
  { cloud, proxy, vendor, intents, logFile }: Books,
): Promise<DemoResult> {
  const job = await cloud.ended(execution);
  const ledger = await readLedger(proxy, keyId, execution);
  const comparison = compareBooks(ledger, intents, execution, false);
  const failureLog = job.failed.length > 0 ? readFileSync(logFile, "utf8").slice(-FAILURE_LOG_CHARACTERS) : "";
  return { execution, vendorTitle: vendor.title, job, ledger, comparison, seconds: 0, failureLog };
}
