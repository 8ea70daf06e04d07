/**
 * Goal: the local Cloud Run answers as the documented REST does, and its executions really run: tasks, attempts, parallelism, time limits, cancellation.
 * Method: the published client library against it; tasks are small Node programs that write down what they were given. The client's types are held against ours by the type checker.
 * Limit: the shapes are the library's, the behaviour is the documentation's; Google's servers were not asked.
 */
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, type run_v2 } from "@googleapis/run";
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { type LocalCloudRun, localCloudRun } from "../../examples/local-cloud/cloud-run.ts";
import type { ExecutionJson, OperationJson, RunJobRequestJson } from "../../examples/local-cloud/cloud-run-json.ts";
import { type LocalServer, serveLocalApis } from "../../examples/local-cloud/local-api.ts";
import type { LocalJob } from "../../examples/local-cloud/local-cloud.ts";

const parent = "projects/local-project/locations/us-central1";
const agent = `${parent}/jobs/agent`;

let directory: string;
let logFd: number;
let cloudRun: LocalCloudRun;
let server: LocalServer;
let client: run_v2.Run;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "cloud-run-test-"));
  logFd = openSync(join(directory, "log"), "a");
  cloudRun = localCloudRun({
    project: "local-project",
    location: "us-central1",
    logFd,
    metadata: async (account) => ({ GCE_METADATA_HOST: `metadata-of-${account}` }),
    graceMs: 300,
  });
  server = await serveLocalApis([cloudRun.api]);
  client = run({ version: "v2", rootUrl: `${server.url}/`, retry: false });
});

afterEach(async () => {
  await cloudRun.close();
  await server.close();
  closeSync(logFd);
  rmSync(directory, { recursive: true, force: true });
});

const output = (): string => readFileSync(join(directory, "log"), "utf8");

function job(program: string, more: Partial<LocalJob> = {}, env: Record<string, string> = {}): LocalJob {
  return {
    serviceAccount: "agent@local-project.iam.gserviceaccount.com",
    containers: [{ name: null, command: [process.execPath, "-e", program], args: [], env }],
    tasks: 1,
    parallelism: 10,
    maxRetries: 0,
    taskTimeoutMs: 20_000,
    ...more,
  };
}

async function start(overrides?: run_v2.Schema$GoogleCloudRunV2Overrides): Promise<string> {
  const { data } = await client.projects.locations.jobs.run({
    name: agent,
    requestBody: { ...(overrides && { overrides }) },
  });
  return shortName(String(data.metadata?.name));
}

const shortName = (name: string): string => name.split("/").at(-1)!;
const lines = (): Record<string, string>[] =>
  output()
    .trim()
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, string>);

/** Keys of ours, at any depth, that the library's type has not. */
type Foreign<Ours, Theirs> = Ours extends readonly (infer Item)[]
  ? Theirs extends readonly (infer Their)[]
    ? Foreign<Item, Their>
    : "not a list"
  : Ours extends object
    ? {
        [Key in keyof Ours]-?: Key extends keyof Theirs
          ? Foreign<NonNullable<Ours[Key]>, NonNullable<Theirs[Key]>>
          : Key;
      }[keyof Ours]
    : never;

describe("shapes", () => {
  it("are the published client's, without a field that it does not know", () => {
    expectTypeOf<ExecutionJson>().toExtend<run_v2.Schema$GoogleCloudRunV2Execution>();
    expectTypeOf<Foreign<ExecutionJson, run_v2.Schema$GoogleCloudRunV2Execution>>().toBeNever();
    expectTypeOf<OperationJson>().toExtend<run_v2.Schema$GoogleLongrunningOperation>();
    expectTypeOf<
      Foreign<Omit<OperationJson, "metadata" | "response">, run_v2.Schema$GoogleLongrunningOperation>
    >().toBeNever();
    expectTypeOf<Foreign<RunJobRequestJson, run_v2.Schema$GoogleCloudRunV2RunJobRequest>>().toBeNever();
  });
});

describe("jobs.run", () => {
  it("starts an execution whose operation, get and list say the same, first running and then succeeded", async () => {
    cloudRun.setJob("agent", job("setTimeout(() => {}, 300)", { tasks: 2 }));
    const { data: operation } = await client.projects.locations.jobs.run({ name: agent, requestBody: {} });
    expect(operation.done).toBeUndefined();
    const name = String(operation.metadata?.name);
    expect(name).toMatch(
      /^projects\/local-project\/locations\/us-central1\/jobs\/agent\/executions\/agent-[a-z0-9]{5}$/,
    );
    const running = (await client.projects.locations.jobs.executions.get({ name })).data;
    expect(running).toMatchObject({
      name,
      taskCount: 2,
      reconciling: true,
      template: { serviceAccount: "agent@local-project.iam.gserviceaccount.com" },
    });
    expect(running.completionTime).toBeUndefined();
    await cloudRun.ended(shortName(name));
    const done = (await client.projects.locations.jobs.executions.get({ name })).data;
    expect(done).toMatchObject({
      succeededCount: 2,
      conditions: [{ type: "Completed", state: "CONDITION_SUCCEEDED" }],
    });
    expect(done.completionTime).toMatch(/Z$/);
    expect(done.runningCount).toBeUndefined();
    const finished = (await client.projects.locations.operations.get({ name: operation.name! })).data;
    expect(finished).toMatchObject({ done: true, response: { name } });
    expect((await client.projects.locations.jobs.executions.list({ parent: agent })).data.executions).toEqual([done]);
  });

  it("gives every task its own variables, the job's, the overrides' and the metadata server's, and nothing of this process", async () => {
    cloudRun.setJob(
      "agent",
      job("console.log(JSON.stringify(process.env))", { tasks: 3 }, { COLOUR: "red", SIZE: "1" }),
    );
    const execution = await start({
      containerOverrides: [
        {
          env: [
            { name: "SIZE", value: "2" },
            { name: "KEY", value: "vk" },
          ],
        },
      ],
    });
    await cloudRun.ended(execution);
    const tasks = lines().sort((a, b) => a.CLOUD_RUN_TASK_INDEX!.localeCompare(b.CLOUD_RUN_TASK_INDEX!));
    expect(tasks).toEqual(
      [0, 1, 2].map((index) => ({
        COLOUR: "red",
        SIZE: "2",
        KEY: "vk",
        GCE_METADATA_HOST: "metadata-of-agent@local-project.iam.gserviceaccount.com",
        CLOUD_RUN_JOB: "agent",
        CLOUD_RUN_EXECUTION: execution,
        CLOUD_RUN_TASK_INDEX: String(index),
        CLOUD_RUN_TASK_COUNT: "3",
        CLOUD_RUN_TASK_ATTEMPT: "0",
      })),
    );
    const stored = (await client.projects.locations.jobs.executions.get({ name: `${agent}/executions/${execution}` }))
      .data;
    expect(stored.template?.containers?.[0]?.env).toEqual([
      { name: "COLOUR", value: "red" },
      { name: "SIZE", value: "2" },
      { name: "KEY", value: "vk" },
    ]);
  });

  it("takes another task count, arguments and time limit for one execution and leaves the job as it was", async () => {
    cloudRun.setJob("agent", job("console.log(JSON.stringify({ args: process.argv.slice(1).join() }))", { tasks: 1 }));
    await cloudRun.ended(await start({ taskCount: 2, timeout: "5s", containerOverrides: [{ args: ["a", "b c"] }] }));
    await cloudRun.ended(await start());
    expect(lines()).toEqual([{ args: "a,b c" }, { args: "a,b c" }, { args: "" }]);
  });

  it("runs a failed task again as the next attempt, up to maxRetries, and counts what failed for good", async () => {
    const program =
      "const e = process.env; process.exit(e.CLOUD_RUN_TASK_INDEX === '0' && e.CLOUD_RUN_TASK_ATTEMPT !== '2' || e.CLOUD_RUN_TASK_INDEX === '1' ? 1 : 0)";
    cloudRun.setJob("agent", job(program, { tasks: 3, maxRetries: 2 }));
    const execution = await start();
    expect(await cloudRun.ended(execution)).toMatchObject({
      attempts: 7,
      succeeded: 2,
      failed: [1],
      cancelled: 0,
      completed: true,
    });
    const { data } = await client.projects.locations.jobs.executions.get({ name: `${agent}/executions/${execution}` });
    expect(data).toMatchObject({
      succeededCount: 2,
      failedCount: 1,
      retriedCount: 2,
      conditions: [{ state: "CONDITION_FAILED" }],
    });
  });

  it("runs no more tasks at once than the parallelism", async () => {
    const program = `const fs = require("node:fs"); const mine = "${directory}/run-" + process.env.CLOUD_RUN_TASK_INDEX;
      fs.writeFileSync(mine, ""); setTimeout(() => { console.log(JSON.stringify({ n: fs.readdirSync("${directory}").filter((f) => f.startsWith("run-")).length })); fs.rmSync(mine); }, 60)`;
    cloudRun.setJob("agent", job(program, { tasks: 8, parallelism: 3 }));
    await cloudRun.ended(await start());
    const seen = lines().map(({ n }) => Number(n));
    expect(seen).toHaveLength(8);
    expect(Math.max(...seen)).toBeLessThanOrEqual(3);
    expect(Math.max(...seen)).toBeGreaterThan(1);
  });

  it("a program that is not there is a failed task, and the log says so", async () => {
    cloudRun.setJob("agent", {
      ...job(""),
      containers: [{ name: null, command: ["/no/such/program"], args: [], env: {} }],
    });
    expect(await cloudRun.ended(await start())).toMatchObject({ failed: [0], attempts: 1 });
    expect(output()).toContain("/no/such/program could not be started");
  });

  it.each([
    ["a job that is not there", "other", {}, 404],
    ["a field that the API has not", "agent", { overrides: { nonsense: 1 } }, 400],
    [
      "a container that the job has not",
      "agent",
      { overrides: { containerOverrides: [{ name: "web", env: [] }] } },
      400,
    ],
    [
      "a reserved variable",
      "agent",
      { overrides: { containerOverrides: [{ env: [{ name: "CLOUD_RUN_TASK_INDEX", value: "7" }] }] } },
      400,
    ],
    ["a time limit without its unit", "agent", { overrides: { timeout: "600" } }, 400],
  ])("refuses %s and starts nothing", async (_, name, body, status) => {
    cloudRun.setJob("agent", job(""));
    const response = await fetch(`${server.url}/v2/${parent}/jobs/${name}:run`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { code: number } }).error.code).toBe(status);
    expect(cloudRun.executions()).toEqual([]);
  });

  it("asks for a container's name when the job has several, and gives each its own overrides", async () => {
    const print = "console.log(JSON.stringify({ n: process.env.N, k: process.env.K }))";
    const of = (name: string) => ({ name, command: [process.execPath, "-e", print], args: [], env: { N: name } });
    cloudRun.setJob("agent", { ...job(""), containers: [of("main"), of("side")] });
    await expect(start({ containerOverrides: [{ env: [{ name: "K", value: "1" }] }] })).rejects.toMatchObject({
      status: 400,
    });
    const execution = await start({
      containerOverrides: [
        { name: "side", env: [{ name: "K", value: "s" }] },
        { name: "main", env: [{ name: "K", value: "m" }] },
      ],
    });
    const ended = await cloudRun.ended(execution);
    expect(ended.containers.map(({ env }) => env.K)).toEqual(["m", "s"]);
    expect(lines()).toContainEqual({ n: "main", k: "m" });
  });
});

describe("the end of a task", () => {
  it("past its time limit it gets SIGTERM, and has failed though it then ends with 0", async () => {
    cloudRun.setJob(
      "agent",
      job(
        "process.on('SIGTERM', () => { console.log('{\"got\":\"SIGTERM\"}'); process.exit(0) }); setInterval(() => {}, 1000)",
        { taskTimeoutMs: 400 },
      ),
    );
    expect(await cloudRun.ended(await start())).toMatchObject({ failed: [0] });
    expect(lines()).toEqual([{ got: "SIGTERM" }]);
  });

  it("one that does not listen to SIGTERM is killed, with what it has started", async () => {
    const listener = createServer().listen(0, "127.0.0.1");
    await once(listener, "listening");
    const { port } = listener.address() as AddressInfo;
    // A process's connection is cut when the process is gone, whoever its parent is by then.
    const child = `process.on("SIGTERM", () => {}); require("node:net").connect(${port}, "127.0.0.1")`;
    const program = `process.on("SIGTERM", () => {}); require("node:child_process").spawn(process.execPath, ["-e", ${JSON.stringify(child)}]); setInterval(() => {}, 1000)`;
    cloudRun.setJob("agent", job(program, { taskTimeoutMs: 700 }));
    const connected = once(listener, "connection");
    const execution = await start();
    const [socket] = (await connected) as [Socket];
    const cut = new Promise((resolve) =>
      socket
        .on("close", resolve)
        .on("error", () => {})
        .resume(),
    );
    expect(await cloudRun.ended(execution)).toMatchObject({ failed: [0] });
    await cut;
    listener.close();
  });

  it("a side container ends with the first one", async () => {
    const side = `require("node:fs").writeFileSync("${directory}/pid", String(process.pid)); setInterval(() => {}, 1000)`;
    const main = `const t = setInterval(() => require("node:fs").existsSync("${directory}/pid") && clearInterval(t), 20)`;
    const of = (name: string, program: string) => ({
      name,
      command: [process.execPath, "-e", program],
      args: [],
      env: {},
    });
    cloudRun.setJob("agent", { ...job(""), containers: [of("main", main), of("side", side)] });
    expect(await cloudRun.ended(await start())).toMatchObject({ succeeded: 1, failed: [] });
    await expect.poll(() => alive(Number(readFileSync(join(directory, "pid"), "utf8")))).toBe(false);
  });

  it("cancel stops what runs, starts nothing more, and the execution says so", async () => {
    cloudRun.setJob(
      "agent",
      job(
        `require("node:fs").writeFileSync("${directory}/ran-" + process.env.CLOUD_RUN_TASK_INDEX, ""); setInterval(() => {}, 1000)`,
        { tasks: 5, parallelism: 2, maxRetries: 3 },
      ),
    );
    const execution = await start();
    await expect.poll(() => readdirSync(directory).filter((file) => file.startsWith("ran-")).length).toBe(2);
    const name = `${agent}/executions/${execution}`;
    await client.projects.locations.jobs.executions.cancel({ name, requestBody: {} });
    expect(await cloudRun.ended(execution)).toMatchObject({ attempts: 2, succeeded: 0, failed: [], cancelled: 5 });
    const { data } = await client.projects.locations.jobs.executions.get({ name });
    expect(data).toMatchObject({
      cancelledCount: 5,
      conditions: [{ state: "CONDITION_FAILED", executionReason: "CANCELLED" }],
    });
  });
});

describe("executions", () => {
  it("are listed newest first, page by page, each once, of their job only", async () => {
    cloudRun.setJob("agent", { ...job(""), containers: [{ name: null, command: ["true"], args: [], env: {} }] });
    cloudRun.setJob("other", { ...job(""), containers: [{ name: null, command: ["true"], args: [], env: {} }] });
    const started: string[] = [];
    for (let n = 0; n < 5; n++) started.push(await start());
    await client.projects.locations.jobs.run({ name: `${parent}/jobs/other`, requestBody: {} });
    const seen: string[] = [];
    const sizes: number[] = [];
    let pageToken: string | undefined;
    do {
      const { data } = await client.projects.locations.jobs.executions.list({
        parent: agent,
        pageSize: 2,
        ...(pageToken && { pageToken }),
      });
      sizes.push(data.executions!.length);
      seen.push(...data.executions!.map(({ name }) => shortName(name!)));
      pageToken = data.nextPageToken ?? undefined;
    } while (pageToken);
    expect(seen).toEqual(started.toReversed());
    expect(sizes).toEqual([2, 2, 1]);
  });

  it("give only the fields that are asked for, at every depth", async () => {
    cloudRun.setJob("agent", job("", {}, { COLOUR: "red" }));
    const execution = await start();
    const { data } = await client.projects.locations.jobs.executions.list({
      parent: agent,
      fields: "executions(job,template(serviceAccount,containers(env/name))),nextPageToken",
    });
    expect(data).toEqual({
      executions: [
        {
          job: "agent",
          template: {
            serviceAccount: "agent@local-project.iam.gserviceaccount.com",
            containers: [{ env: [{ name: "COLOUR" }] }],
          },
        },
      ],
    });
    const name = `${agent}/executions/${execution}`;
    await expect(client.projects.locations.jobs.executions.get({ name, fields: "name," })).rejects.toMatchObject({
      status: 400,
    });
  });

  it("of another job or project are not found", async () => {
    cloudRun.setJob("agent", job(""));
    cloudRun.setJob("other", job(""));
    const execution = await start();
    for (const name of [
      `${parent}/jobs/other/executions/${execution}`,
      `projects/elsewhere/locations/us-central1/jobs/agent/executions/${execution}`,
    ]) {
      await expect(client.projects.locations.jobs.executions.get({ name })).rejects.toMatchObject({ status: 404 });
    }
  });
});

describe("faults of jobs.run, as asked", () => {
  it("a status without a start, one after a start, and a lost answer after a start, each once", async () => {
    cloudRun.setJob("agent", job(""));
    cloudRun.failNextRuns({ answer: 429 }, { startThen: 503 }, { startThen: "reset" });
    await expect(start()).rejects.toMatchObject({ status: 429 });
    expect(cloudRun.executions()).toHaveLength(0);
    await expect(start()).rejects.toMatchObject({ status: 503 });
    expect(cloudRun.executions()).toHaveLength(1);
    await expect(start()).rejects.not.toHaveProperty("status", 200);
    expect(cloudRun.executions()).toHaveLength(2);
    await start();
    expect(cloudRun.executions()).toHaveLength(3);
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
