/**
 * Goal: `npm run demo` does what it says: right to the cent, one key, no customer charged twice, nothing left behind.
 * Method: a short demo as its own process, in empty directories of its own, and its command line; `git status` before and after.
 * Limit: a small run; the simulated vendor only. Stripe's test mode is tested as far as its guard and its settings.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { type Ended, run } from "./run.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

function gitStatus(): Promise<string> {
  const args = ["status", "--porcelain", "--ignored", "--untracked-files=all", "examples/billing-demo"];
  return new Promise((resolve, reject) => {
    execFile("git", args, { cwd: root }, (error, stdout) => (error ? reject(error) : resolve(stdout)));
  });
}

describe("a demo of 24 tasks, 6 at a time", () => {
  let ended: Ended;
  let bill: Record<string, unknown>;
  let statusBefore: string;
  beforeAll(async () => {
    statusBefore = await gitStatus();
    ended = await run(["--tasks", "24", "--parallelism", "6", "--json"]);
    bill = JSON.parse(ended.stdout || "{}") as Record<string, unknown>;
  }, 130_000);

  it("ends with 0 and prints exactly one JSON object with the promised fields", () => {
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(ended.stdout.trim().split("\n")).toHaveLength(1);
    expect(Object.keys(bill)).toEqual(
      "ok tasks attempts keys cap_micros spent_micros reserved_micros vendor_micros settled refused unknown seconds label".split(
        " ",
      ),
    );
  });

  it("used one key, ran the dead tasks again, and every task ended with 0", () => {
    // Tasks 3, 13 and 23 die once, task 3 twice.
    expect(bill).toMatchObject({ ok: true, tasks: 24, attempts: 28, keys: 1, unknown: 0 });
  });

  it("hit the cap, was never over it, and the vendor's books add up to what the ledger spent", () => {
    const { cap_micros, spent_micros, reserved_micros, vendor_micros, settled, refused } = bill as Record<
      string,
      number
    >;
    expect(cap_micros).toBe(24_000_000);
    expect(reserved_micros).toBe(0);
    expect(vendor_micros).toBe(spent_micros);
    expect(spent_micros!).toBeLessThanOrEqual(cap_micros!);
    // The dearest call costs two dollars: what was refused did not fit.
    expect(spent_micros!).toBeGreaterThan(cap_micros! - 2_000_000);
    expect(settled!).toBeLessThan(24);
    expect(settled! + refused!).toBeGreaterThanOrEqual(24);
  });

  it("leaves nothing in the git tree, in its working directory and in the temporary one", async () => {
    expect(await gitStatus()).toBe(statusBefore);
    expect(ended.left).toEqual([]);
  });
});

it("a demo with a cap above the job's sum bills every customer once and refuses nobody", async () => {
  const { code, stdout } = await run(["--tasks", "8", "--parallelism", "4", "--cap", "100", "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, settled: 8, cap_micros: 100_000_000 });
}, 60_000);

it("prints the bill for people when it is not asked for JSON", async () => {
  const { code, stdout } = await run(["--tasks", "4", "--parallelism", "2"]);
  expect(code).toBe(0);
  expect(stdout).toContain("ledger = vendor's books");
  expect(stdout).toContain("The bill of billing-agent-");
}, 60_000);

it("an interrupt ends it with 130, and its processes and files are gone", async () => {
  const { code, stdout, stderr, left } = await run(["--tasks", "200", "--parallelism", "4"], {}, /proxy:/);
  expect(code).toBe(130);
  expect(stderr).toContain("interrupted");
  expect(left).toEqual([]);
  const proxyUrl = /proxy: +(http:\S+)/.exec(stdout)![1]!;
  await expect(fetch(`${proxyUrl}/health`)).rejects.toThrow();
}, 60_000);

describe("wrong usage ends with 2 and one sentence", () => {
  it.each([
    [["--tasks", "0"], /^demo: `--tasks` is "0"; it must be a whole number from 1 to 4000\.\n$/],
    [["--tasks", "many"], /^demo: `--tasks` is "many"/],
    [["--parallelism", "201"], /^demo: `--parallelism` is "201"; it must be a whole number from 1 to 200\.\n$/],
    [["--cap", "1.005"], /^demo: `--cap` is "1\.005"; it must be dollars down to whole cents/],
    [["--cap", "0"], /^demo: `--cap` is "0"/],
    [["--store", "redis:"], /^demo: `--store` is "redis:"/],
    [["--vendor", "paypal"], /^demo: `--vendor` is "paypal"; it must be `emulate` or `stripe`\.\n$/],
    [["--nonsense"], /^demo: Unknown option '--nonsense'/],
    [["more"], /^demo: Unexpected argument 'more'/],
  ])("%j", async (args, message) => {
    const ended = await run(args);
    expect(ended).toMatchObject({ code: 2, stdout: "" });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("passes on what the proxy says about a store that it does not take, and ends with 2", async () => {
    const ended = await run(["--tasks", "2", "--store", "firestore:no-database"]);
    expect(ended).toMatchObject({ code: 2, stdout: "", left: [] });
    expect(ended.stderr).toContain("KEYBRAKE_STORE");
  });

  it("refuses a live Stripe key without showing it", async () => {
    const ended = await run(["--vendor", "stripe"], { STRIPE_SECRET_KEY: "sk_live_0123456789abcdef" });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(/^demo: STRIPE_SECRET_KEY is a live key/);
    expect(ended.stderr).not.toContain("0123456789");
  });
});
