/**
 * Goal: what a task finds. A launched task's key tells which task it is; its command gets its words untouched; started without the proxy it
 * stops with a clear sentence. A job sets no variable that is the launch's or Cloud Run's. A retry that could be taken for another call is
 * warned of. Method: the job's own template out of Pulumi's mocks, its command run by this machine's sh with the variables that a
 * launch would set. Limit: the shell is this machine's; an image may have another one, or none.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { BudgetedJob, type BudgetedJobArgs, KeybrakeProxy, SetupMode } from "keybrake-gcp";
import { describe, expect, test } from "vitest";
import { injectedNames, isReservedName } from "../../service/setup/injected-variables.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { billingArgs, proxyArgs } from "./example-program.ts";
import { type Run, run } from "./mock-program.ts";

interface Template {
  containers: { commands?: string[]; args?: string[]; envs: { name: string; value: string }[] }[];
}

const jobRun = (args: Partial<BudgetedJobArgs>): Promise<Run> =>
  run(() => {
    const { reference: proxy } = new KeybrakeProxy("keybrake", proxyArgs);
    new BudgetedJob("billing", { ...billingArgs, proxy, ...args });
    return {};
  });

function containerOf({ made }: Run): Template["containers"][number] {
  const job = made.find(({ type }) => type === "gcp:cloudrunv2/job:Job");
  if (!job) throw new Error("no job was made");
  return (job.inputs.template as { template: Template }).template.containers[0]!;
}

/** Prints each of its words, then the variables. */
const show = "for word; do printf '<%s>' \"$word\"; done; env";

describe("the command of a launched task", () => {
  const words = ["", "two words", "$(touch /tmp/never)", "`id`", 'it\'s "quoted"', "*", "a\\b", "$HOME", "new\nline"];
  const inTask = { CLOUD_RUN_TASK_INDEX: "7", CLOUD_RUN_TASK_ATTEMPT: "2", PATH: process.env.PATH ?? "" };

  test("gets each of its words as it was written, and the task's number behind every credential", async () => {
    const { commands, args, envs } = containerOf(await jobRun({ command: ["sh", "-c", show, "sh"], args: words }));
    const template = Object.fromEntries(envs.map(({ name, value }) => [name, value]));
    const launched = { KEYBRAKE_VAULT_KEY: "vk_key", STRIPE_SECRET_KEY: "vk_key", STRIPE_API_KEY: "vk_key" };
    const env = { ...template, ...launched, ...inTask };
    const text = execFileSync(commands![0]!, [...commands!.slice(1), ...args!], { env, encoding: "utf8" });
    expect(text.startsWith(words.map((word) => `<${word}>`).join(""))).toBe(true);
    for (const name of Object.keys(launched)) expect(text).toContain(`${name}=vk_key~7~2\n`);
    expect(text).toContain("KEYBRAKE_TASK_INDEX=7\n");
    expect(text).toContain("KEYBRAKE_TASK_ATTEMPT=2\n");
    expect(text).toContain("STRIPE_API_BASE=https://keybrake-abc-uc.a.run.app\n");
  });

  test("does not start without a key, and says by which command the job is started", async () => {
    const { commands, envs } = containerOf(await jobRun({ command: ["echo", "started"] }));
    const env = { ...Object.fromEntries(envs.map(({ name, value }) => [name, value])), ...inTask };
    const { status, stdout, stderr } = spawnSync(commands![0]!, commands!.slice(1), { env, encoding: "utf8" });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toBe("Keybrake: this execution has no vault key; start the job by: keybrake run billing\n");
  });

  test("becomes the process itself, so that signals reach it and its exit code is the task's", async () => {
    const { commands } = containerOf(await jobRun({ command: ["sh", "-c", "exit 42"] }));
    const env = { ...inTask, KEYBRAKE_VAULT_KEY: "vk_key" };
    expect(spawnSync(commands![0]!, commands!.slice(1), { env }).status).toBe(42);
    expect(commands![2]).toMatch(/; exec "\$@"$/);
  });

  test("has nothing in it that Cloud Run would replace", async () => {
    const { commands } = containerOf(await jobRun({ command: ["echo"] }));
    expect(commands![2]).not.toContain("$(");
  });
});

describe("the template of a job", () => {
  test("leaves the command as it is where the execution claims its key, and holds nothing in place of one", async () => {
    const { commands, envs } = containerOf(
      await jobRun({ setup: SetupMode.Claim, command: ["keybrake", "exec", "--", "node"] }),
    );
    expect(commands).toEqual(["keybrake", "exec", "--", "node"]);
    expect(envs.map(({ name }) => name)).toEqual(["KEYBRAKE_URL", "KEYBRAKE_AUDIENCE", "STRIPE_API_BASE"]);
  });

  test("names only variables that are the proxy's, its vendors' or the job's own, none twice", async () => {
    const { envs } = containerOf(await jobRun({ env: [{ name: "BILLING_MODE", value: "night" }] }));
    const vendors = loadVendors({ now: Date.now });
    const injected = injectedNames([vendors.get("stripe")!]);
    const names = envs.map(({ name }) => name);
    expect(names.filter((name) => !injected.has(name))).toEqual(["BILLING_MODE"]);
    expect(names.filter((name) => isReservedName(name) && !injected.has(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  test("says in place of each credential that there is none", async () => {
    const { envs } = containerOf(await jobRun({}));
    const keys = envs.filter(({ name }) =>
      ["KEYBRAKE_VAULT_KEY", "STRIPE_SECRET_KEY", "STRIPE_API_KEY"].includes(name),
    );
    expect(keys.map(({ value }) => value)).toEqual(Array(3).fill("start-this-job-by-keybrake-run-billing"));
  });

  test("has the variables of the user's own connectors", async () => {
    const connectors = JSON.stringify({ connectors: [lob] });
    const { made } = await run(() => {
      const { reference: proxy } = new KeybrakeProxy("keybrake", {
        ...proxyArgs,
        vendors: [{ id: "lob" }],
        connectors,
      });
      const budget = { ...billingArgs.budget, vendors: ["lob"], allowedEndpoints: ["POST /v1/postcards"] };
      new BudgetedJob("cards", { ...billingArgs, proxy, budget });
      return {};
    });
    const { envs } = containerOf({ made, warnings: [], outputs: {} });
    expect(envs).toContainEqual({ name: "LOB_BASE_URL", value: "https://keybrake-abc-uc.a.run.app/lob" });
    expect(envs.map(({ name }) => name)).toContain("LOB_API_KEY");
  });
});

const lob = {
  id: "lob",
  name: "Lob",
  upstream: "https://api.lob.com",
  credential: { type: "basic" },
  variables: [
    { name: "LOB_API_KEY", is: "credential" },
    { name: "LOB_BASE_URL", is: "base_url" },
  ],
  body: { codec: "json" },
  rules: [
    {
      endpoint: "POST /v1/postcards",
      fields: ["to"],
      quote: { micros: "1000000", why: "a postcard" },
      cost: { micros: "1000000", id: "response.id" },
    },
  ],
};

describe("a preview", () => {
  const sentence = /^BudgetedJob "billing": `maxRetries` is 3, and the key does not tell which task/;

  test.each([
    ["no command", { command: undefined }],
    ["no shell", { taskContext: false }],
  ])("warns of retries where a launched task has %s", async (_, args) => {
    const { warnings } = await jobRun(args as Partial<BudgetedJobArgs>);
    expect(warnings).toEqual([expect.stringMatching(sentence)]);
  });

  test.each([
    ["a command", {}],
    ["no retries", { command: undefined, maxRetries: 0 }],
    ["a claim", { command: undefined, setup: SetupMode.Claim }],
  ])("warns of nothing where a task has %s", async (_, args) => {
    expect((await jobRun(args as Partial<BudgetedJobArgs>)).warnings).toEqual([]);
  });
});
