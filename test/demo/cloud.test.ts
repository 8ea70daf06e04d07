/**
 * Goal: `npm run demo -- --cloud` does what it says: each scheduled time delivered twice, three executions with three keys and labels, three bills equal to the vendor's books, one execution stopped in the middle, another job's account kept out.
 * Method: a short demo (3 × 6 tasks) as its own process on Firestore's emulator and the local Google Cloud, and its command line on a machine without the emulator.
 * Limit: the emulator and the local stand-ins, not Google; the simulated vendor.
 */
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { CloudBillJson } from "../../examples/cloud-demo/cloud-bill.ts";
import { emulatorMissing } from "../../examples/local-cloud/firestore-emulator.ts";
import { type Ended, run } from "./run.ts";

const name = "a demo on a local Google Cloud, 3 executions of 6 tasks";
const reason = emulatorMissing === null ? "" : ` (left out: ${emulatorMissing})`;

describe.skipIf(emulatorMissing !== null)(name + reason, () => {
  let ended: Ended;
  let result: CloudBillJson;
  beforeAll(async () => {
    ended = await run(["--cloud", "--tasks", "6", "--parallelism", "2", "--json"]);
    result = JSON.parse(ended.stdout || "{}") as CloudBillJson;
  }, 130_000);

  it("ends with 0, prints one JSON object and leaves nothing behind", () => {
    expect(ended).toMatchObject({ code: 0, stderr: "", left: [] });
    expect(ended.stdout.trim().split("\n")).toHaveLength(1);
    expect(result).toMatchObject({ ok: true, faults: [] });
  });

  it("has three executions, keys and labels for six deliveries, and every label is its job's", () => {
    const { keys, labels, executions, bills } = result;
    for (const each of [keys, labels, executions]) expect(new Set(each).size).toBe(3);
    for (const label of labels) expect(label).toMatch(/^nightly-billing\//);
    expect(bills.flatMap(({ deliveries }) => deliveries)).toHaveLength(6);
    expect(bills.map(({ through }) => through)).toEqual(["variables", "exec", "variables"]);
  });

  it("bills each execution to the cent, under its cap, with nothing left open", () => {
    for (const bill of result.bills) {
      expect(bill).toMatchObject({ cap_micros: 6_000_000, reserved_micros: 0, unknown: 0, tasks: 6, succeeded: 6 });
      expect(bill.vendor_micros).toBe(bill.spent_micros);
      expect(bill.spent_micros).toBeGreaterThan(0);
      expect(bill.spent_micros).toBeLessThanOrEqual(bill.cap_micros);
      // Task 3 dies twice.
      expect(bill.attempts).toBe(8);
    }
  });

  it("hit the cap of the executions that ran to their end", () => {
    for (const bill of result.bills.slice(0, 2)) expect(bill.spent_micros).toBeGreaterThan(bill.cap_micros - 2_000_000);
  });

  it("stopped the last execution in the middle: what came after the revocation was refused", () => {
    const { revoked, executions } = result;
    expect(revoked.execution).toBe(executions[2]);
    expect(revoked.refused_after).toBeGreaterThan(0);
    expect(revoked.created_after).toBeLessThanOrEqual(revoked.in_flight);
  });

  it("gave no key to another job's account, whichever way it asked", () => {
    expect(result.intrusions.map(({ refused }) => refused)).toEqual([true, true, true]);
    expect(result.intrusions.map(({ outcome }) => outcome)).toEqual([
      "403 policy_denied",
      "404 not_found",
      expect.stringMatching(/^the proxy refused the claim: /),
    ]);
  });
});

it.skipIf(emulatorMissing !== null)(
  "an interrupt ends it with 130, and its processes and files are gone",
  async () => {
    const { code, stdout, stderr, left } = await run(
      ["--cloud", "--tasks", "100", "--parallelism", "2"],
      {},
      /Scheduler/,
    );
    expect({ code, left }).toEqual({ code: 130, left: [] });
    expect(stderr).toBe("demo: interrupted; its processes are gone\n");
    const proxyUrl = /proxy: +(http:[^\s,]+)/.exec(stdout)![1]!;
    await expect(fetch(`${proxyUrl}/health`)).rejects.toThrow();
  },
  130_000,
);

it("without the emulator it ends with 2 and one sentence that says how to get it", async () => {
  const bin = mkdtempSync(join(tmpdir(), "demo-path-"));
  symlinkSync(process.execPath, join(bin, "node"));
  try {
    const ended = await run(["--cloud"], { PATH: bin });
    expect(ended).toMatchObject({ code: 2, stdout: "", left: [] });
    expect(ended.stderr).toMatch(
      /^demo: `--cloud`: the Firestore emulator is not installed: install the gcloud CLI .*\n$/,
    );
  } finally {
    rmSync(bin, { recursive: true });
  }
});
