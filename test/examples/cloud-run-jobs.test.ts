/**
 * Goal: the examples of Cloud Run jobs do what their READMEs say: a scheduled run bills under its cap, a task that dies is not billed
 * again, a spent budget ends tasks with 0, and one that claims its key needs no change of the agent.
 * Method: each agent's file as it stands, as processes of the local Cloud Run, behind a real proxy before emulate's vendors. One task of
 * each execution is made to fail after its work is done.
 * Limit: the local stand-ins of Google Cloud and of the vendors; no image is built.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LocalExecution } from "../../examples/local-cloud/local-cloud.ts";
import { bundleExec } from "../../packaging/bundle-command-line.ts";
import { read, root } from "../readme/markdown.ts";
import { vendorCount } from "../sdk/scenes.ts";
import { nameOf, pythonMissing, pythonWith } from "../support/runtimes.ts";
import { emulatedCustomers } from "../support/vendors/emulate.ts";
import { AUDIENCE, account, type JobWorld, startJobWorld } from "./job-world.ts";

const TASKS = 6;
const CAP_CENTS = 600;
/** 7.50 dollars in all. */
const customers = Array.from({ length: TASKS }, (_, index) => ({
  id: emulatedCustomers[index % emulatedCustomers.length],
  amount_cents: 150 - 10 * index,
}));
const MAX_AMOUNT_CENTS = 150;
/** Its first attempt ends with 1 when all its work is done. */
const FAILING_TASK = 1;

const budgets = {
  billing: {
    vendors: ["stripe"],
    allowed_endpoints: ["POST /v1/payment_intents"],
    usd_cap: "6.00",
    expires_in: "1h",
  },
  reports: { vendors: ["resend"], allowed_endpoints: ["POST /emails"], usd_cap: "1.00", expires_in: "1h" },
};

const example = (file: string): string => join(root, "examples", file);
const requirements = read("examples/cloud-run-job-python/requirements.txt").trim().split("\n");

let world: JobWorld<"stripe" | "resend">;
let keybrakeExec: string;
beforeAll(async () => {
  world = await startJobWorld(["stripe", "resend"], budgets);
  writeFileSync(join(world.directory, "customers.json"), JSON.stringify(customers));
  keybrakeExec = join(world.directory, "keybrake_exec.mjs");
  mkdirSync(world.directory, { recursive: true });
  await bundleExec(world.directory);
}, 60_000);
afterAll(() => world?.stop());

function setJob(job: keyof typeof budgets, command: readonly string[], env: Record<string, string>): void {
  const failsOnce = `"$@" && [ "$CLOUD_RUN_TASK_INDEX.$CLOUD_RUN_TASK_ATTEMPT" != ${FAILING_TASK}.0 ]`;
  world.cloud.setJob(job, {
    serviceAccount: account(job),
    containers: [
      {
        name: null,
        command: ["/bin/sh", "-c", failsOnce, "sh", ...command],
        args: [],
        env: { PATH: process.env.PATH ?? "", KEYBRAKE_URL: world.proxy.url, KEYBRAKE_AUDIENCE: AUDIENCE, ...env },
      },
    ],
    tasks: TASKS,
    parallelism: 2,
    maxRetries: 3,
    taskTimeoutMs: 60_000,
  });
}

async function keysOf(execution: string): Promise<Record<string, unknown>[]> {
  return (await world.proxy.admin("GET", `/vault/keys?label=${execution}`)).body.keys as Record<string, unknown>[];
}

/** Every task got to its end, the failing one at its second attempt. */
function expectAllDone(execution: LocalExecution): void {
  expect({ ...execution, log: world.log() }).toMatchObject({ succeeded: TASKS, failed: [], attempts: TASKS + 1 });
}

interface Intent {
  id: string;
  amount: number;
}
async function intents(): Promise<Intent[]> {
  const { url, secret } = world.vendors.stripe;
  const answer = await fetch(`${url}/v1/payment_intents?limit=100`, { headers: { authorization: `Bearer ${secret}` } });
  return ((await answer.json()) as { data: Intent[] }).data;
}

const agents = [
  { name: "cloud-run-job-typescript/agent.ts", missing: null, program: async () => process.execPath },
  { name: "cloud-run-job-python/agent.py", missing: pythonMissing, program: () => pythonWith(requirements) },
  { name: "cloud-run-job-python/agent_httpx.py", missing: pythonMissing, program: () => pythonWith(requirements) },
];

describe.each(agents)("$name, launched", ({ name, missing, program }) => {
  it.skipIf(missing !== null)(
    nameOf("bills under the cap, nobody twice, and ends cleanly where the budget is spent", missing),
    async () => {
      setJob("billing", [await program(), example(name)], {
        STRIPE_API_BASE: world.proxy.url,
        BILLING_CUSTOMERS_FILE: join(world.directory, "customers.json"),
        PYTHONDONTWRITEBYTECODE: "1",
      });
      const before = new Set((await intents()).map(({ id }) => id));
      const execution = await world.launch("billing");
      expectAllDone(execution);
      const made = (await intents()).filter(({ id }) => !before.has(id));
      const cents = made.reduce((sum, { amount }) => sum + amount, 0);
      expect(cents).toBeLessThanOrEqual(CAP_CENTS);
      expect(cents).toBeGreaterThan(CAP_CENTS - MAX_AMOUNT_CENTS);
      expect(new Set(made.map(({ amount }) => amount)).size).toBe(made.length);
      const keys = await keysOf(execution.name);
      expect(keys).toMatchObject([{ spent_micros: cents * 10_000, reserved_micros: 0 }]);
      const said = world
        .log()
        .split("\n")
        .filter((line) => line.startsWith(`[${execution.name}]`));
      expect(said.filter((line) => line.endsWith("spend cap exhausted, ending cleanly"))).toHaveLength(
        TASKS - made.length,
      );
      expect(said.filter((line) => line.includes(`task ${FAILING_TASK}: billed`))).toHaveLength(2);
    },
    320_000,
  );
});

const claims = [
  {
    name: "claim-any-trigger/agent.mjs",
    missing: null,
    command: async () => [process.execPath, keybrakeExec, "--", process.execPath],
  },
  {
    name: "claim-any-trigger/agent.py",
    missing: pythonMissing,
    command: async () => ["python3", join(root, "service/exec/keybrake_exec.py"), "--", "python3"],
  },
];

describe.each(claims)("$name, which claims its key", ({ name, missing, command }) => {
  it.skipIf(missing !== null)(
    nameOf("sends one mail for each task under the one key of an execution that nobody launched", missing),
    async () => {
      setJob("reports", [...(await command()), example(name)], {});
      const before = await vendorCount("resend", world.vendors.resend);
      const execution = await world.execute("reports");
      expectAllDone(execution);
      expect(await vendorCount("resend", world.vendors.resend)).toBe(before + TASKS);
      const [key, ...more] = await keysOf(execution.name);
      expect(more).toEqual([]);
      expect(key).toMatchObject({ label: execution.name, reserved_micros: 0 });
      expect(JSON.stringify(execution.env)).not.toContain("vk_");
      expect((await world.proxy.calls(execution.name)).filter(({ state }) => state === "settled")).toHaveLength(TASKS);
    },
    120_000,
  );
});
