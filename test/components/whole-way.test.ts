/**
 * Goal: what the components make fits together: a tick of their Scheduler job becomes one execution of their job with one key of the
 * declared cap, whose tasks bill no more than it and nobody twice; the job's own account gets no more; a start without the proxy gets nothing.
 * Method: the program runs under Pulumi's mocks (against the compiled package), and what it would register is fed as it stands to a real
 * proxy, Firestore's emulator, the local Cloud Run, Secret Manager and Scheduler; what has to be local is one list below. The agent is the
 * example's own file; its task number is taken from it, so that only the components' command can tell it to the proxy.
 * Limit: no Google Cloud: IAM, its own checks of the template, the container image and the source archive are not in it.
 */
import { randomBytes } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BudgetedJob, KeybrakeProxy } from "keybrake-gcp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareBooks } from "../../examples/billing-demo/compare-books.ts";
import { readLedger } from "../../examples/billing-demo/ledger-books.ts";
import { parseOptions } from "../../examples/billing-demo/options.ts";
import { type DemoVendor, type Intent, startVendor } from "../../examples/billing-demo/vendor.ts";
import { type LocalCloud, type LocalExecution, startLocalCloud } from "../../examples/local-cloud/local-cloud.ts";
import { root } from "../readme/markdown.ts";
import { describeOnEmulator } from "../support/on-emulator.ts";
import { type Deployment, deployLocally, ofType } from "./deploy-locally.ts";
import { billingArgs, proxyArgs } from "./example-program.ts";
import { run } from "./mock-program.ts";

const TASKS = 24;
const CAP_USD = 27.5;
const MICROS = 1_000_000;
const MAX_AMOUNT_CENTS = 200;
/** Tasks 3 (twice), 13 and 23 die once they have paid or while they pay: see `misfortune.ts`. */
const DEATHS = 4;
const ADMIN = "ops@example.com";
/** The emulator makes it as it is named: an empty database. */
const project = `test-${randomBytes(8).toString("hex")}`;
const account = (name: string): string => `${name}@${project}.iam.gserviceaccount.com`;

const misfortune = join(root, "examples/billing-demo/misfortune.ts");
const forgetAttempt = "data:text/javascript,delete process.env.CLOUD_RUN_TASK_ATTEMPT";
const agent = join(root, "examples/cloud-run-job-typescript/agent.ts");
const command = [process.execPath, "--import", misfortune, "--import", forgetAttempt, agent];

function program(customersFile: string) {
  const keybrake = new KeybrakeProxy("keybrake", {
    ...{ ...proxyArgs, vendors: [{ id: "stripe" }] },
    administrators: [{ email: ADMIN }],
  });
  new BudgetedJob("billing", {
    ...{ ...billingArgs, proxy: keybrake.reference, command, tasks: TASKS, parallelism: 6 },
    env: [{ name: "BILLING_CUSTOMERS_FILE", value: customersFile }],
    budget: { ...billingArgs.budget, usdCap: CAP_USD },
  });
  return keybrake.url;
}

describeOnEmulator("from the program to the bill", (emulator) => {
  const directory = mkdtempSync(join(tmpdir(), "keybrake-whole-way-"));
  const logFile = join(directory, "tasks.log");
  const stops: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  let vendor: DemoVendor;
  let cloud: LocalCloud;
  let deployment: Deployment;
  let deliveries: number[];
  let execution: LocalExecution;

  beforeAll(async () => {
    const logFd = openSync(logFile, "a");
    stops.push(() => closeSync(logFd));
    vendor = await startVendor(parseOptions(["--tasks", String(TASKS)], {})!, AbortSignal.timeout(60_000));
    stops.push(vendor.stop);
    cloud = await startLocalCloud({ project, location: proxyArgs.location, logFd });
    stops.push(cloud.close);
    const customersFile = join(directory, "customers.json");
    writeFileSync(customersFile, JSON.stringify(vendor.customers));
    const made = await run(
      async () => {
        const url = program(customersFile);
        return { url: await new Promise((resolve) => url.apply(resolve)) };
      },
      { config: { "gcp:project": project } },
    );
    expect(ofType(made, "gcp:secretmanager/secret:Secret").map(({ inputs }) => inputs.secretId)).toContain("stripe");
    // What a person does after `pulumi up`.
    cloud.addSecretVersion(`projects/${project}/secrets/stripe`, vendor.secret);
    const path = process.env.PATH ?? "";
    deployment = await deployLocally(made, cloud, emulator.host, ADMIN, {
      proxyEnv: { PATH: path, FIRESTORE_EMULATOR_HOST: emulator.host, KEYBRAKE_GOOGLE_APIS: cloud.url },
      upstreams: { stripe: vendor.upstream! },
      imageEnv: { PATH: path },
    });
    stops.push(deployment.proxy.stop);
    const lastNight = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 60_000).toISOString();
    deliveries = await deployment.tick("billing-launch", lastNight.replace(".000Z", "Z"));
    const [newest] = cloud.executions();
    if (!newest) throw new Error(`the tick started nothing: its deliveries got ${deliveries}`);
    execution = await cloud.ended(newest.name);
  }, 180_000);
  afterAll(async () => {
    for (const stop of stops.reverse()) await stop();
  });

  const keys = async (query = ""): Promise<Record<string, unknown>[]> =>
    (await deployment.proxy.admin("GET", `/vault/keys${query}`)).keys as Record<string, unknown>[];
  const log = (): string => readFileSync(logFile, "utf8");
  const ask = async (email: string, path: string, body: object) => {
    const authorization = `Bearer ${cloud.idToken(email, `keybrake/${project}/us-central1/keybrake`)}`;
    const headers = { authorization, "content-type": "application/json" };
    const response = await fetch(deployment.proxy.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, code: ((await response.json()) as { code?: string }).code };
  };

  test("a tick that is delivered twice is one execution with one key of the declared cap", async () => {
    expect(deliveries.map((status) => status === 200 || status === 201)).toEqual([true, true]);
    expect(cloud.executions().map(({ job }) => job)).toEqual(["billing"]);
    const bound = await keys(`?label=${execution.name}`);
    expect(bound).toMatchObject([{ cap_micros: CAP_USD * MICROS }]);
    expect((await keys()).map(({ key_id }) => key_id)).toEqual([bound[0]?.key_id]);
  });

  test("every task ends with 0, those that died at a further attempt, and the spent cap ends some cleanly", () => {
    const ended = { succeeded: TASKS, failed: [], attempts: TASKS + DEATHS };
    expect({ ...execution, log: log() }).toMatchObject(ended);
    expect(log()).toMatch(/: spend cap exhausted, ending cleanly/);
  });

  test("the bill is the vendor's, to the cent, and nobody is in it twice", async () => {
    const [key] = await keys();
    const ledger = await readLedger(deployment.proxy, String(key?.key_id), execution.name);
    // Nobody else has this vendor.
    const intents = (await vendor.intents()).map((intent): Intent => ({ ...intent, execution: execution.name }));
    const { differences, vendorMicros, vendorObjects } = compareBooks(ledger, intents, execution.name, true);
    expect(differences).toEqual([]);
    expect(ledger.calls.map(({ state }) => state)).toEqual(Array(vendorObjects).fill("settled"));
    expect(vendorMicros).toBeLessThanOrEqual(CAP_USD * MICROS);
    expect(vendorMicros).toBeGreaterThan(CAP_USD * MICROS - MAX_AMOUNT_CENTS * 10_000);
    expect(log().match(/task 3: billed/g)).toHaveLength(1);
  });

  test("the audit of the execution has each task's spending under the task's own number", async () => {
    const query = `execution=${execution.name}&group_by=task`;
    const { groups } = await deployment.proxy.admin("GET", `/audit/summary?${query}`);
    const spent = (groups as Record<string, unknown>[]).filter(({ spent_micros }) => spent_micros !== 0);
    const audited = new Map(spent.map(({ key, spent_micros }) => [key, spent_micros]));
    // The customer of task 7 is number 7.
    const numberOf = ({ customer }: Intent): string => String(vendor.customers.findIndex(({ id }) => id === customer));
    const billed = (await vendor.intents()).map((intent) => [numberOf(intent), intent.amount * 10_000] as const);
    expect(audited).toEqual(new Map(billed));
  });

  test("the tasks' own account cannot issue a key, launch its job or raise its cap, and Scheduler's can only launch", async () => {
    const [key] = await keys();
    const raise = `/vault/keys/${key?.key_id}/raise`;
    const budget = { vendors: ["stripe"], allowed_endpoints: ["POST /v1/payment_intents"], usd_cap: 1 };
    const issue = { ...budget, label: "mine", expires_in: "1h" };
    const denied = { status: 403, code: expect.any(String) };
    expect(await ask(account("billing-tasks"), "/vault/keys", issue)).toEqual(denied);
    expect(await ask(account("billing-tasks"), "/jobs/billing/executions", {})).toEqual(denied);
    expect(await ask(account("billing-tasks"), raise, { usd_cap: 5000 })).toEqual(denied);
    expect(await ask(account("billing-sched"), "/vault/keys", issue)).toEqual(denied);
    expect(await ask(account("billing-sched"), raise, { usd_cap: 5000 })).toEqual(denied);
    expect(await keys()).toMatchObject([{ cap_micros: CAP_USD * MICROS }]);
  });

  test("Scheduler's other job may ask for the reconciliation", async () => {
    expect(await deployment.tick("keybrake-reconcile", new Date().toISOString())).toEqual([200, 200]);
  });

  test("an execution that the proxy did not start finds no key, says how to start it, and spends nothing", async () => {
    const before = (await vendor.intents()).length;
    const name = `projects/${project}/locations/${proxyArgs.location}/jobs/billing`;
    const body = JSON.stringify({ overrides: { taskCount: 2 } });
    const answer = await fetch(`${cloud.url}/v2/${name}:run`, { method: "POST", body });
    expect(answer.status).toBe(200);
    const direct = await cloud.ended(cloud.executions()[0]!.name);
    expect(direct).toMatchObject({ succeeded: 0, attempts: 2 * (1 + billingArgs.maxRetries) });
    expect(direct.env.KEYBRAKE_VAULT_KEY).toBe("start-this-job-by-keybrake-run-billing");
    const sentence = "Keybrake: this execution has no vault key; start the job by: keybrake run billing\n";
    expect(log().split(sentence)).toHaveLength(direct.attempts + 1);
    expect(await vendor.intents()).toHaveLength(before);
    expect(await keys()).toHaveLength(1);
  });
});
