import { parseArgs } from "node:util";
import { MICROS_PER_USD, parseUsd } from "../../service/money.ts";

export type VendorName = "emulate" | "stripe";

export interface DemoOptions {
  /** The proxy on Google Cloud's parts; tasks, parallelism and cap are each execution's. */
  cloud: boolean;
  tasks: number;
  parallelism: number;
  capMicros: number;
  /** `KEYBRAKE_STORE` of the proxy; `null`: a SQLite file in a temporary directory. */
  store: string | null;
  json: boolean;
  vendor: VendorName;
  /** Stripe's test-mode secret for `--vendor stripe`, else `null`. */
  stripeSecret: string | null;
}

/** A wrong command line: one sentence that names the fix. The process ends with 2. */
export class UsageError extends Error {
  override name = "UsageError";
}

export const usage = `Usage: npm run demo -- [options]
  --tasks N          tasks of the job, one customer and one process each (default 500; 40 with --vendor stripe)
  --parallelism N    tasks that run at once (default 50; 4 with --vendor stripe)
  --cap USD          the run's hard cap in dollars (default: one dollar a task; the job would spend about 1.40 a task)
  --store STORE      the proxy's KEYBRAKE_STORE (default: a SQLite file in a temporary directory)
  --vendor NAME      emulate (a simulated Stripe on loopback, default) or stripe (Stripe's own test mode;
                     set STRIPE_SECRET_KEY=sk_test_…)
  --cloud            the same on a local Google Cloud: Scheduler, three executions of a Cloud Run job, Firestore's emulator,
                     Secret Manager, ID tokens; --tasks (default 100), --parallelism (default 16) and --cap are each execution's
  --json             print nothing but one JSON object
  --help             print this`;

/** emulate 0.12.2 answers 403 to the 5,000th request of an hour; reading the books takes one request per 100 tasks. */
const MAX_TASKS = { emulate: 4_000, stripe: 500, cloud: 1_200 } as const;
/** The vault key admits at least 256 calls at once. */
const MAX_PARALLELISM = 200;

const defaults = {
  emulate: { tasks: 500, parallelism: 50 },
  // Stripe's test mode takes 25 requests a second (https://docs.stripe.com/rate-limits, read 2026-11).
  stripe: { tasks: 40, parallelism: 4 },
  cloud: { tasks: 100, parallelism: 16 },
} as const;

/**
 * Reads the demo's command line.
 * @returns `null` when `--help` was asked. Throws {@link UsageError}.
 */
export function parseOptions(args: string[], env: Record<string, string | undefined>): DemoOptions | null {
  const given = readArguments(args);
  if (given.help) return null;
  const cloud = given.cloud ?? false;
  if (cloud && (given.vendor ?? given.store) !== undefined) {
    throw new UsageError(
      "`--cloud` brings its own store and vendor: leave `--store` and `--vendor` out, or leave `--cloud` out.",
    );
  }
  const vendor = parseVendor(given.vendor);
  const kind = cloud ? "cloud" : vendor;
  const tasks = parseCount("--tasks", given.tasks, defaults[kind].tasks, MAX_TASKS[kind]);
  const parallelism = parseCount("--parallelism", given.parallelism, defaults[kind].parallelism, MAX_PARALLELISM);
  return {
    cloud,
    tasks,
    parallelism,
    capMicros: given.cap === undefined ? tasks * MICROS_PER_USD : parseCap(given.cap),
    store: parseStore(given.store),
    json: given.json ?? false,
    vendor,
    stripeSecret: vendor === "stripe" ? testModeSecret(env.STRIPE_SECRET_KEY) : null,
  };
}

function readArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      strict: true,
      allowPositionals: false,
      options: {
        tasks: { type: "string" },
        parallelism: { type: "string" },
        cap: { type: "string" },
        store: { type: "string" },
        vendor: { type: "string" },
        cloud: { type: "boolean" },
        json: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    const sentence = error instanceof Error ? error.message.split(/\.\s|\n/, 1)[0] : String(error);
    throw new UsageError(`${sentence}; see \`npm run demo -- --help\`.`);
  }
}

function parseVendor(value: string | undefined): VendorName {
  if (value === undefined || value === "emulate") return "emulate";
  if (value === "stripe") return "stripe";
  throw new UsageError(`\`--vendor\` is ${JSON.stringify(value)}; it must be \`emulate\` or \`stripe\`.`);
}

function parseCount(name: string, value: string | undefined, fallback: number, max: number): number {
  if (value === undefined) return fallback;
  const count = /^\d{1,6}$/.test(value) ? Number(value) : 0;
  if (count >= 1 && count <= max) return count;
  throw new UsageError(`\`${name}\` is ${JSON.stringify(value)}; it must be a whole number from 1 to ${max}.`);
}

function parseCap(value: string): number {
  const micros = parseUsd(value);
  if (micros !== null && micros > 0) return micros;
  throw new UsageError(
    `\`--cap\` is ${JSON.stringify(value)}; it must be dollars down to whole cents, at least 0.01, like \`500\` or \`499.99\`.`,
  );
}

function parseStore(value: string | undefined): string | null {
  if (value === undefined) return null;
  if (/^(sqlite|firestore):./.test(value)) return value;
  throw new UsageError(
    `\`--store\` is ${JSON.stringify(value)}; it must be \`sqlite:FILE\`, \`sqlite::memory:\` or \`firestore:PROJECT/DATABASE\`.`,
  );
}

/** The demo spends what it can reach: a live key must never get as far as a process of it. */
function testModeSecret(secret: string | undefined): string {
  if (secret === undefined || secret === "") {
    throw new UsageError("`--vendor stripe` needs STRIPE_SECRET_KEY, a test-mode secret key like `sk_test_…`.");
  }
  if (/^(sk|rk)_live_/.test(secret)) {
    throw new UsageError(
      "STRIPE_SECRET_KEY is a live key, and this demo would bill real customers with it: set a test-mode key, `sk_test_…`.",
    );
  }
  if (!/^(sk|rk)_test_[A-Za-z0-9]+$/.test(secret)) {
    throw new UsageError("STRIPE_SECRET_KEY is not a test-mode secret key: set one that begins with `sk_test_`.");
  }
  return secret;
}
