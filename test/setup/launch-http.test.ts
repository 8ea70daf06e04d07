/**
 * Goal: a tick of Cloud Scheduler, delivered twice and tried again, is one execution with one key, whatever Cloud Run's answers are like,
 * over the whole way: ID token, policy, route, ledger, Google's client library, and tasks that really start.
 * Method: the proxy over SQLite and a policies file, with a local Google Cloud on loopback; the clock is moved where a lease is waited for.
 * Limit: the local Cloud Run speaks the documented shapes and is not Cloud Run; see its header.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type LocalCloud,
  type LocalJob,
  type RunFault,
  startLocalCloud,
} from "../../examples/local-cloud/local-cloud.ts";
import { type Proxy as RunningProxy, startProxy } from "../../service/app.ts";
import { type Clock, systemClock, systemRandom } from "../../service/clock.ts";
import { readConfig } from "../../service/config.ts";
import { createLogger } from "../../service/log.ts";
import { runHere } from "../cli/run-here.ts";
import { ControlClient } from "../support/control-client.ts";

const AUDIENCE = "keybrake/local-project/us-central1/test";
const ADMIN = "the-admin-key-of-this-test-0123456789";
const JOB = "nightly-billing";
const TASKS = "tasks@local-project.iam.gserviceaccount.com";
const SCHEDULER = "scheduler@local-project.iam.gserviceaccount.com";
const SCHEDULED = "2026-11-22T02:00:00Z";
/** Time, moved by the tests: leases and forced runs are about minutes. */
let ahead: number;
const clock: Clock = { now: () => systemClock.now() + ahead, delay: systemClock.delay };

let directory: string;
let logFd: number;
let cloud: LocalCloud;
let proxy: RunningProxy;
let admin: ControlClient;
let logged: string[];

beforeEach(async () => {
  ahead = 0;
  logged = [];
  directory = mkdtempSync(join(tmpdir(), "launch-test-"));
  logFd = openSync(join(directory, "log"), "a");
  cloud = await startLocalCloud({ logFd, graceMs: 300 });
  cloud.setJob(JOB, job);
  setPolicy(policy);
  const config = readConfig({
    PORT: "0",
    KEYBRAKE_STORE: "sqlite::memory:",
    KEYBRAKE_ADMIN_KEY: ADMIN,
    KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: "env:SECRET", upstream: "http://127.0.0.1:9" } }),
    SECRET: "sk_test_canary_0123456789",
    KEYBRAKE_AUDIENCE: AUDIENCE,
    KEYBRAKE_POLICIES: policiesFile(),
    KEYBRAKE_GOOGLE_APIS: cloud.url,
  });
  const log = createLogger({ write: (line) => logged.push(line) });
  proxy = await startProxy({ config, clock, random: systemRandom, log, announceAdminKey: () => {} });
  admin = new ControlClient(proxy.url, ADMIN);
});
afterEach(async () => {
  await proxy.close();
  await cloud.close();
  closeSync(logFd);
  rmSync(directory, { recursive: true, force: true });
});

const job: LocalJob = {
  serviceAccount: TASKS,
  containers: [{ name: null, command: [process.execPath, "-e"], args: [""], env: { FROM_TEMPLATE: "1" } }],
  ...{ tasks: 1, parallelism: 1, maxRetries: 0, taskTimeoutMs: 20_000 },
};
const policiesFile = () => join(directory, "policies.json");
const setPolicy = (document: unknown) => writeFileSync(policiesFile(), JSON.stringify({ [JOB]: document }));
const policy = {
  version: 1,
  job: { project: "local-project", location: "us-central1", service_account: TASKS },
  principal_ids: [SCHEDULER, TASKS],
  principals: [
    { email: SCHEDULER, may: ["launch"] },
    { email: TASKS, may: ["claim", "read", "revoke"] },
  ],
  budget: { vendors: ["stripe"], allowed_endpoints: ["*"], usd_cap: "20.00", expires_in: "2h" },
};

const launchUrl = () => `${proxy.url}/jobs/${JOB}/executions`;
const tick = (scheduleTime = SCHEDULED) =>
  cloud.tick({ url: launchUrl(), audience: AUDIENCE, account: SCHEDULER, name: "nightly", scheduleTime });

/** One request of Scheduler. */
async function launch(headers: Record<string, string> = {}, body?: unknown) {
  const as = new ControlClient(proxy.url, cloud.idToken(SCHEDULER, AUDIENCE));
  return as.post(`/jobs/${JOB}/executions`, body, {
    headers: { "x-cloudscheduler-jobname": "nightly", "x-cloudscheduler-scheduletime": SCHEDULED, ...headers },
  });
}

async function onlyKey(): Promise<Record<string, unknown>> {
  const { json } = await admin.get("/vault/keys");
  const keys = json.keys as Record<string, unknown>[];
  expect(keys).toHaveLength(1);
  return keys[0]!;
}

describe("a tick of Scheduler", () => {
  it("that is delivered twice is one execution, with its key in the environment and bound to it", async () => {
    expect((await tick()).map((status) => (status === 201 ? 200 : status))).toEqual([200, 200]);
    const [execution, ...others] = cloud.executions();
    expect(others).toEqual([]);
    const key = await onlyKey();
    expect(execution!.env).toMatchObject({
      FROM_TEMPLATE: "1",
      KEYBRAKE_KEY_ID: key.key_id,
      STRIPE_SECRET_KEY: execution!.env.KEYBRAKE_VAULT_KEY,
    });
    expect(key).toMatchObject({
      owner: `policy:${JOB}`,
      execution: execution!.name,
      label: `${JOB}/${execution!.env.KEYBRAKE_RUN_ID}`,
      cap_usd: "20.00",
    });
    expect(execution!.env.KEYBRAKE_VAULT_KEY).toContain(key.key_id);
    expect(logged.join("")).not.toContain(execution!.env.KEYBRAKE_VAULT_KEY);
    const byExecution = await admin.get(`/vault/keys?label=${execution!.name}`);
    expect(byExecution.json.keys).toMatchObject([{ key_id: key.key_id }]);
  });

  it.each<[string, RunFault[]]>([
    ["429, then again", [{ answer: 429 }, { answer: 429 }]],
    ["a start whose answer is 503", [{ startThen: 503 }]],
    ["a start whose answer is lost", [{ startThen: "reset" }]],
  ])("is one execution after %s", async (_name, faults) => {
    cloud.failNextRuns(...faults);
    expect((await tick()).every((status) => status === 200 || status === 201)).toBe(true);
    expect(cloud.executions()).toHaveLength(1);
    expect(await onlyKey()).toMatchObject({ status: "active", execution: cloud.executions()[0]!.name });
  });

  it("is one execution after a 500 that started nothing, a minute later", async () => {
    cloud.failNextRuns({ answer: 500 });
    const pending = await launch();
    expect(pending).toMatchObject({ status: 503, json: { code: "launch_pending" } });
    expect((await launch()).status).toBe(503);
    expect(cloud.executions()).toEqual([]);
    ahead += 61_000;
    expect((await launch()).status).toBe(201);
    expect(cloud.executions()).toHaveLength(1);
  });

  it("is refused with 502 and a revoked key when Cloud Run refuses it", async () => {
    cloud.failNextRuns({ answer: 403 });
    expect(await launch()).toMatchObject({ status: 502, json: { code: "launch_refused" } });
    expect(await onlyKey()).toMatchObject({ status: "revoked" });
    expect(await launch()).toMatchObject({ status: 502, json: { code: "launch_refused" } });
    expect(cloud.executions()).toEqual([]);
  });
});

describe("the answer", () => {
  it("is 201, then 200 for the same run, and holds no vault key", async () => {
    const first = await launch();
    expect(first.status).toBe(201);
    expect(first.json).toMatchObject({
      state: "started",
      execution: cloud.executions()[0]!.name,
      label: `${JOB}/${String(first.json.run_id)}`,
      key: { cap_usd: "20.00", key_id: first.json.key_id },
    });
    const again = await launch();
    expect(again).toMatchObject({ status: 200, json: { run_id: first.json.run_id } });
    expect(first.text + again.text).not.toContain(cloud.executions()[0]!.env.KEYBRAKE_VAULT_KEY);
  });

  it.each<[string, Record<string, string>, unknown, number]>([
    ["a label beside Scheduler's headers", {}, { label: "x" }, 400],
    ["a cap over the policy's", {}, { usd_cap: 21 }, 403],
    ["a field that is none", {}, { cap: 21 }, 400],
    ["a header that is too long", { "x-cloudscheduler-jobname": "x".repeat(501) }, undefined, 400],
  ])("refuses %s", async (_name, headers, body, status) => {
    expect((await launch(headers, body)).status).toBe(status);
    expect(cloud.executions()).toEqual([]);
  });

  it("refuses the job's own account, and a job that has no policy", async () => {
    const tasks = new ControlClient(proxy.url, cloud.idToken(TASKS, AUDIENCE));
    expect((await tasks.post(`/jobs/${JOB}/executions`)).status).toBe(403);
    expect((await admin.post("/jobs/unknown/executions")).status).toBe(404);
    expect(cloud.executions()).toEqual([]);
  });
});

describe("keybrake run", () => {
  const env = () => ({ KEYBRAKE_URL: proxy.url, KEYBRAKE_ADMIN_KEY: ADMIN });
  const run = (...args: string[]) => runHere(["run", JOB, ...args], { env: env() });

  it("starts an execution of its own each time, and with a label only one", async () => {
    for (const expected of [1, 2]) {
      expect((await run()).code).toBe(0);
      expect(cloud.executions()).toHaveLength(expected);
    }
    const first = await run("--label", "resend", "--cap", "5");
    const again = await run("--label", "resend", "--cap", "5");
    expect(JSON.parse(first.stdout)).toMatchObject({
      state: "started",
      label: `${JOB}/resend`,
      key: { cap_usd: "5.00" },
    });
    expect(JSON.parse(again.stdout).run_id).toBe(JSON.parse(first.stdout).run_id);
    expect(cloud.executions()).toHaveLength(3);
  });

  it("names the label to repeat when it is not clear whether anything was started", async () => {
    cloud.failNextRuns({ startThen: "reset" });
    const lost = await run();
    expect(lost.code).toBe(1);
    const label = /add `--label (run-\d{8}-\d{6}-[0-9a-f]{6})`/.exec(lost.stderr)?.[1];
    expect(label, lost.stderr).toBeDefined();
    expect((await run("--label", label!)).code).toBe(0);
    expect(cloud.executions()).toHaveLength(1);
  });

  it("shows the run and its balance on a terminal", async () => {
    const { stdout } = await runHere(["run", JOB, "--label", "resend"], { env: env(), terminal: true });
    expect(stdout).toMatch(/^run_id +[a-z2-7]{26}$/m);
    expect(stdout).toMatch(/^state +started$/m);
    expect(stdout).toMatch(/^cap_usd +20\.00$/m);
    expect(stdout.match(/^key_id/gm)).toHaveLength(1);
  });

  it("fails when the run is skipped, and says why", async () => {
    setPolicy({ ...policy, job: { ...policy.job, one_at_a_time: true } });
    cloud.setJob(JOB, { ...job, containers: [{ ...job.containers[0]!, args: ["setInterval(() => {}, 1000)"] }] });
    expect((await run("--label", "long")).code).toBe(0);
    const skipped = await run("--label", "too-soon");
    expect(JSON.parse(skipped.stdout)).toMatchObject({ state: "skipped", execution: null, key_id: null, key: null });
    expect(skipped).toMatchObject({ code: 1, stderr: expect.stringContaining("runs one at a time") });
    expect(cloud.executions()).toHaveLength(1);
  });

  it("says what is wrong with a cap, a name and a job", async () => {
    expect(await run("--cap", "0.001")).toMatchObject({ code: 2 });
    expect(await run("--cap", "21")).toMatchObject({ code: 1, stderr: expect.stringContaining("policy_denied") });
    expect(await runHere(["run", "No Job"], { env: env() })).toMatchObject({ code: 2 });
    expect(await runHere(["run", "no-job"], { env: env() })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("not_found"),
    });
  });
});
