/** The demo from set-up to bill: read this first. */

import { randomInt } from "node:crypto";
import { setMaxListeners } from "node:events";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatUsd } from "../../service/money.ts";
import { type Job, type JobResult, runJob } from "../local-cloud/job-runner.ts";
import { buildImage } from "./build-image.ts";
import { type Comparison, compareBooks } from "./compare-books.ts";
import { type LedgerBooks, readLedger } from "./ledger-books.ts";
import type { DemoOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { type DemoProxy, startProxy } from "./proxy.ts";
import { type DemoVendor, startVendor } from "./vendor.ts";

export interface DemoResult {
  execution: string;
  vendorTitle: string;
  job: Pick<JobResult, "attempts" | "succeeded" | "failed">;
  ledger: LedgerBooks;
  comparison: Comparison;
  /** 0: not told of this part alone. */
  seconds: number;
  /** The last lines of the tasks' output when a task failed for good, else empty. */
  failureLog: string;
}

const JOB_NAME = "billing-agent";
const MAX_RETRIES = 3;
const TASK_TIMEOUT_MS = 60_000;
/** Cloud Scheduler delivers at least once, so the set-up step is run several times at once. */
const SETUP_RUNS = 8;
const FAILURE_LOG_CHARACTERS = 4_000;

/** @param directory a temporary one; everything that the run writes is in it. */
export async function runDemo(
  options: DemoOptions,
  directory: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<DemoResult> {
  setMaxListeners(0, signal);
  const started = performance.now();
  const execution = `${JOB_NAME}-${randomName()}`;
  const stops: (() => Promise<void>)[] = [];
  try {
    const vendor = await startVendor(options, signal);
    stops.push(vendor.stop);
    signal.throwIfAborted();
    const proxy = await startProxy(proxyEnvironment(options, vendor, directory));
    stops.push(proxy.stop);
    signal.throwIfAborted();

    const key = await setUp(proxy, execution, options.capMicros);
    progress.begin(proxy, key.keyId, options, vendor.title);
    const logFile = join(directory, "tasks.log");
    const job = await runTasks(options, {
      execution,
      directory,
      logFile,
      proxy,
      vendor,
      vaultKey: key.vaultKey,
      progress,
      signal,
    });
    await progress.end();

    const ledger = await readLedger(proxy, key.keyId, execution);
    const comparison = compareBooks(ledger, await vendor.intents(), execution, vendor.exclusive);
    return {
      execution,
      vendorTitle: vendor.title,
      job,
      ledger,
      comparison,
      seconds: Math.round((performance.now() - started) / 100) / 10,
      failureLog: job.failed.length > 0 ? readFileSync(logFile, "utf8").slice(-FAILURE_LOG_CHARACTERS) : "",
    };
  } finally {
    await progress.end();
    for (const stop of stops.reverse()) await stop();
  }
}

function randomName(): string {
  return Array.from({ length: 5 }, () => "bcdfghjklmnpqrstvwxz2456789"[randomInt(27)]).join("");
}

/** The real secret goes to the proxy and nowhere else. */
function proxyEnvironment(options: DemoOptions, vendor: DemoVendor, directory: string): Record<string, string> {
  const stripe = { secret: "env:STRIPE_SECRET_KEY", ...(vendor.upstream !== null && { upstream: vendor.upstream }) };
  return {
    ...inherited(["PATH", "NODE_EXTRA_CA_CERTS", "FIRESTORE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"]),
    KEYBRAKE_STORE: options.store ?? `sqlite:${join(directory, "keybrake.db")}`,
    KEYBRAKE_PEPPER: `file:${join(directory, "pepper")}`,
    KEYBRAKE_VENDORS: JSON.stringify({ stripe }),
    STRIPE_SECRET_KEY: vendor.secret,
  };
}

/** One labelled key for the whole execution, whoever asks and however often. */
async function setUp(
  proxy: DemoProxy,
  execution: string,
  capMicros: number,
): Promise<{ keyId: string; vaultKey: string }> {
  const request = {
    vendor: "stripe",
    usd_cap: formatUsd(capMicros),
    allowed_endpoints: ["POST /v1/payment_intents"],
    expires_in: "2h",
    label: execution,
  };
  const answers = await Promise.all(
    Array.from({ length: SETUP_RUNS }, () => proxy.admin("POST", "/vault/keys", request)),
  );
  return { keyId: String(answers[0]!.key_id), vaultKey: String(answers[0]!.vault_key) };
}

interface Run {
  execution: string;
  directory: string;
  logFile: string;
  proxy: DemoProxy;
  vendor: DemoVendor;
  vaultKey: string;
  progress: Progress;
  signal: AbortSignal;
}

async function runTasks(options: DemoOptions, run: Run): Promise<JobResult> {
  const customersFile = join(run.directory, "customers.json");
  writeFileSync(customersFile, JSON.stringify(run.vendor.customers));
  const logFd = openSync(run.logFile, "a");
  const image = await buildImage(join(run.directory, "image"));
  const env = {
    ...inherited(["PATH"]),
    KEYBRAKE_URL: run.proxy.url,
    KEYBRAKE_VAULT_KEY: run.vaultKey,
    BILLING_CUSTOMERS_FILE: customersFile,
    // Some 560 processes load the same SDK: the compiled code is kept from one to the next.
    NODE_COMPILE_CACHE: join(run.directory, "compile-cache"),
  };
  const job: Job = {
    name: JOB_NAME,
    execution: run.execution,
    tasks: options.tasks,
    parallelism: options.parallelism,
    maxRetries: MAX_RETRIES,
    containers: [{ command: [process.execPath, "--require", image.misfortune, image.task], env }],
    logFd,
    taskTimeoutMs: TASK_TIMEOUT_MS,
    signal: run.signal,
    onEnd: (_task, _attempt, succeeded) => run.progress.attemptEnded(succeeded),
  };
  try {
    const result = await runJob(job);
    run.signal.throwIfAborted();
    return result;
  } finally {
    closeSync(logFd);
  }
}

function inherited(names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}
