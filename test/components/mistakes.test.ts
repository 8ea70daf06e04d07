/**
 * Goal: a mistake in a prop stops the preview with one sentence that names the component, the prop, the value and a valid one. Method: a
 * table of mistakes, each in an otherwise right program. Limit: no engine; that the sentence reaches the screen is the engine's tests' matter.
 */
import * as pulumi from "@pulumi/pulumi";
import {
  BudgetedJob,
  type BudgetedJobArgs,
  type JobBudget,
  KeybrakeProxy,
  type KeybrakeProxyArgs,
  KeyIssuer,
  type KeyIssuerArgs,
  type ProxyReference,
  type ProxyVendor,
  VendorSecret,
  type VendorSecretArgs,
} from "keybrake-gcp";
import { describe, expect, test } from "vitest";
import { billingArgs, proxyArgs } from "./example-program.ts";
import { run } from "./mock-program.ts";

const reference: ProxyReference = {
  url: "https://keybrake.example.com",
  audience: "keybrake/my-project/us-central1/keybrake",
  database: "keybrake",
  project: "my-project",
  location: "us-central1",
  serviceAccountEmail: "keybrake@my-project.iam.gserviceaccount.com",
  vendors: ["stripe", "twilio"],
  secrets: ["projects/my-project/secrets/stripe"],
};

/** A prop that a program in another language may leave out though its type is there. */
const absent = undefined as unknown as string;

/** @returns what stops the program. */
async function stopped(program: () => void): Promise<string> {
  let message = "";
  await run(() => {
    try {
      program();
    } catch (error) {
      if (!pulumi.RunError.isInstance(error)) throw error;
      message = error.message;
    }
    return {};
  });
  return message;
}

/** What is wrong, and pieces of the one sentence: prop, value, a valid value. */
type Mistake<Args> = [what: string, args: Partial<Args>, prop: string, value: string, valid: string, name?: string];

const proxyMistakes: Mistake<KeybrakeProxyArgs>[] = [
  ["no vendor", { vendors: [] }, "vendors", "[]", '[{ id: "stripe" }]'],
  ["a vendor that is misspelt", { vendors: [{ id: "strpe" }] }, "vendors[0].id", '"strpe"', '"stripe"'],
  [
    "a vendor that is an output",
    { vendors: [{ id: "stripe" }, pulumi.output({ id: "twilio" })] },
    "vendors[1]",
    "an output",
    '{ id: "stripe" }',
  ],
  [
    "vendors that are an output as a whole",
    { vendors: pulumi.output([{ id: "stripe" }]) as unknown as ProxyVendor[] },
    "vendors",
    "an output",
    '[{ id: "stripe" }]',
  ],
  [
    "an administrator who is an output",
    { administrators: [Promise.resolve({ email: "ops@my-project.iam.gserviceaccount.com" })] },
    "administrators[0]",
    "an output",
    '{ email: "ops@my-project.iam.gserviceaccount.com" }',
  ],
  [
    "a vendor twice",
    { vendors: [{ id: "stripe" }, { id: "stripe" }] },
    "vendors[1].id",
    '"stripe"',
    "each vendor once",
  ],
  [
    "a secret with its version",
    { vendors: [{ id: "stripe", secret: "projects/p/secrets/s/versions/1" }] },
    "vendors[0].secret",
    '"projects/p/secrets/s/versions/1"',
    '"projects/my-project/secrets/stripe"',
  ],
  [
    "an upstream over http",
    { vendors: [{ id: "stripe", upstream: "http://example.com" }] },
    "vendors[0].upstream",
    '"http://example.com"',
    '"https://api.example.com"',
  ],
  ["a zone for a region", { location: "us-central1-a" }, "location", '"us-central1-a"', '"us-central1"'],
  ["a project that is none", { project: "My Project" }, "project", '"My Project"', '"my-project"'],
  ["more instances at least than at most", { minInstances: 5 }, "minInstances", "5", "1"],
  ["half an instance", { maxInstances: 0.5 }, "maxInstances", "0.5", "3"],
  ["too many requests for an instance", { concurrency: 5_000 }, "concurrency", "5000", "250"],
  ["half a CPU", { cpu: "0.5" }, "cpu", '"0.5"', '"1"'],
  ["memory without a unit", { memory: "512" }, "memory", '"512"', '"1Gi"'],
  ["less memory than its CPUs need", { cpu: "4" }, "memory", '"1Gi"', '"2Gi"'],
  [
    "a database that Firestore would not name so",
    { databaseName: "Keybrake" },
    "databaseName",
    '"Keybrake"',
    '"keybrake"',
  ],
  ["a database nowhere", { databaseLocation: "europe" }, "databaseLocation", '"europe"', '"nam5"'],
  ["no days at all", { retentionDays: 0 }, "retentionDays", "0", "400"],
  [
    "an archive beside an image",
    { image: "example.com/keybrake", sourceArchive: "x.tar.gz" },
    "sourceArchive",
    '"x.tar.gz"',
    "one of the two",
  ],
  [
    "an archive that is not there",
    { sourceArchive: "/nowhere/service.tar.gz" },
    "sourceArchive",
    '"/nowhere/service.tar.gz"',
    "main.mjs",
  ],
  [
    "an administrator in capitals",
    { administrators: [{ email: "Ops@my-project.iam.gserviceaccount.com" }] },
    "administrators[0].email",
    '"Ops@my-project.iam.gserviceaccount.com"',
    '"ops@my-project.iam.gserviceaccount.com"',
  ],
  [
    "an administrator who issues",
    { administrators: [{ email: "ops@my-project.iam.gserviceaccount.com", may: ["issue"] }] },
    "administrators[0].may",
    '"issue"',
    "read",
  ],
  [
    "an audience with a space",
    { audience: "our proxy" },
    "audience",
    '"our proxy"',
    '"keybrake/my-project/us-central1/keybrake"',
  ],
  [
    "a schedule of four fields",
    { reconcileSchedule: "*/15 * * *" },
    "reconcileSchedule",
    '"*/15 * * *"',
    '"0 2 * * *"',
  ],
  [
    "a channel by its number",
    { notificationChannels: ["123"] },
    "notificationChannels[0]",
    '"123"',
    '"projects/my-project/notificationChannels/123"',
  ],
  ["connectors that are no JSON", { connectors: "connectors.json" }, "connectors", '"connectors.json"', "readFileSync"],
  ["a label in capitals", { labels: { Team: "billing" } }, "labels.Team", '"billing"', '{ team: "billing" }'],
  [
    "a name that leaves no room for a suffix",
    {},
    "name",
    '"keybrake-for-all-agents"',
    '"keybrake-for-all-age"',
    "keybrake-for-all-agents",
  ],
];

const jobMistakes: Mistake<Omit<BudgetedJobArgs, "budget"> & { budget: Partial<JobBudget> }>[] = [
  ["a cap of nothing", { budget: { usdCap: 0 } }, "budget.usdCap", "0", "500"],
  ["a cap below nothing", { budget: { usdCap: -5 } }, "budget.usdCap", "-5", "500"],
  ["a cap in parts of a cent", { budget: { usdCap: 0.001 } }, "budget.usdCap", "0.001", "0.5"],
  ["less for a day than for a run", { budget: { issuedUsdPerDay: 100 } }, "budget.issuedUsdPerDay", "100", "4000"],
  ["a cap of a day for two hours", { budget: { dailyUsdCap: 5 } }, "budget.dailyUsdCap", "5", '{ expiresIn: "2d" }'],
  [
    "an endpoint that is misspelt",
    { budget: { allowedEndpoints: ["POST /v1/payment_intent"] } },
    "budget.allowedEndpoints",
    '"POST /v1/payment_intent"',
    '"POST /v1/payment_intents"',
  ],
  [
    "an endpoint without its method",
    { budget: { allowedEndpoints: ["/v1/charges"] } },
    "budget.allowedEndpoints",
    '"/v1/charges"',
    '/v1/charges"',
  ],
  [
    "an endpoint of one of two vendors, unsaid which",
    { budget: { vendors: ["stripe", "twilio"] } },
    "budget.allowedEndpoints",
    '"POST /v1/payment_intents"',
    '"stripe:POST /v1/payment_intents"',
  ],
  [
    "no endpoint",
    { budget: { allowedEndpoints: [] } },
    "budget.allowedEndpoints",
    "[]",
    '["POST /v1/payment_intents"]',
  ],
  ["a vendor that the proxy has not", { budget: { vendors: ["resend"] } }, "budget.vendors", '["resend"]', '["'],
  ["no vendor", { budget: { vendors: [] } }, "budget.vendors", "[]", '["stripe"]'],
  ["a life shorter than a task", { budget: { expiresIn: "5m" } }, "budget.expiresIn", '"5m"', '"600s"'],
  ["a life in words", { budget: { expiresIn: "two hours" } }, "budget.expiresIn", '"two hours"', '"2h"'],
  [
    "tasks that may take longer than a key can live",
    { tasks: 10_000, parallelism: 1, taskTimeout: "2h", budget: { expiresIn: absent } },
    "budget.expiresIn",
    "missing",
    '"30d"',
  ],
  ["a limit of no calls", { budget: { limits: { maxCalls: 0 } } }, "budget.limits.maxCalls", "0", "100"],
  ["a price that is none", { budget: { limits: { perCallUsd: -1 } } }, "budget.limits.perCallUsd", "-1", "40"],
  ["more tasks at a time than there are", { tasks: 10, parallelism: 50 }, "parallelism", "50", "10"],
  ["no task", { tasks: 0 }, "tasks", "0", "500"],
  ["eleven retries", { maxRetries: 11 }, "maxRetries", "11", "3"],
  ["a timeout of eight days", { taskTimeout: "8d" }, "taskTimeout", '"8d"', '"600s"'],
  ["an hour that a day has not", { schedule: { cron: "0 25 * * *" } }, "schedule.cron", '"0 25 * * *"', '"0 2 * * *"'],
  ["a day that never comes", { schedule: { cron: "0 2 31 2 *" } }, "schedule.cron", '"0 2 31 2 *"', '"0 2 * * *"'],
  ["a sixth field", { schedule: { cron: "0 0 2 * * *" } }, "schedule.cron", '"0 0 2 * * *"', '"0 2 * * *"'],
  [
    "a last day, which Scheduler does not know",
    { schedule: { cron: "0 2 L * *" } },
    "schedule.cron",
    '"0 2 L * *"',
    '"0 2 * * *"',
  ],
  [
    "a time zone that is misspelt",
    { schedule: { cron: "0 2 * * *", timeZone: "Europe/Berln" } },
    "schedule.timeZone",
    '"Europe/Berln"',
    '"Europe/Berlin"',
  ],
  [
    "an offset for a time zone",
    { schedule: { cron: "0 2 * * *", timeZone: "+02:00" } },
    "schedule.timeZone",
    '"+02:00"',
    '"Europe/Berlin"',
  ],
  ["six retries of a launch", { schedule: { cron: "0 2 * * *", retries: 6 } }, "schedule.retries", "6", "5"],
  ["a label with a space", { labels: { team: "our team" } }, "labels.team", '"our team"', '"billing"'],
  [
    "the vendor's own variable",
    { env: [{ name: "STRIPE_SECRET_KEY", secret: "my-stripe" }] },
    "env[0].name",
    '"STRIPE_SECRET_KEY"',
    '"BILLING_MODE"',
  ],
  [
    "the proxy's address",
    { env: [{ name: "STRIPE_API_BASE", value: "https://api.stripe.com" }] },
    "env[0].name",
    '"STRIPE_API_BASE"',
    '"BILLING_MODE"',
  ],
  [
    "a variable of Cloud Run",
    { env: [{ name: "CLOUD_RUN_TASK_INDEX", value: "0" }] },
    "env[0].name",
    '"CLOUD_RUN_TASK_INDEX"',
    '"BILLING_MODE"',
  ],
  [
    "a variable of the proxy",
    { env: [{ name: "KEYBRAKE_URL", value: "https://example.com" }] },
    "env[0].name",
    '"KEYBRAKE_URL"',
    '"BILLING_MODE"',
  ],
  [
    "the vendor's secret under another name",
    { env: [{ name: "MY_KEY", secret: "stripe" }] },
    "env[0].secret",
    '"stripe"',
    '"billing-database-password"',
  ],
  [
    "the vendor's secret by its project's number",
    { env: [{ name: "MY_KEY", secret: "projects/123/secrets/stripe" }] },
    "env[0].secret",
    '"projects/123/secrets/stripe"',
    '"billing-database-password"',
  ],
  [
    "the vendor's secret as a file",
    { volumes: [{ name: "key", mountPath: "/key", secret: "projects/my-project/secrets/stripe" }] },
    "volumes[0].secret",
    '"projects/my-project/secrets/stripe"',
    '"billing-database-password"',
  ],
  [
    "a variable twice",
    {
      env: [
        { name: "MODE", value: "a" },
        { name: "MODE", value: "b" },
      ],
    },
    "env[1].name",
    '"MODE"',
    '"MODE_2"',
  ],
  ["a variable without a value", { env: [{ name: "MODE" }] }, "env[0].value", "missing", "one of the two"],
  [
    "a volume of nothing",
    { volumes: [{ name: "data", mountPath: "/data" }] },
    "volumes[0]",
    '{"name":"data"}',
    'memory: "256Mi"',
  ],
  [
    "a volume nowhere",
    { volumes: [{ name: "data", mountPath: "data", memory: "1Gi" }] },
    "volumes[0].mountPath",
    '"data"',
    '"/data"',
  ],
  ["no image", { image: absent }, "image", "missing", '"us-docker.pkg.dev/'],
  [
    "an image beside containers",
    { containers: [{ name: "agent", image: "x" }] },
    "image",
    '"us-docker.pkg.dev/',
    "containers[0].image",
  ],
  ["a network without a name", { vpc: {} }, "vpc", "{}", '{ network: "default" }'],
  ["half a CPU", { cpu: "500m" }, "cpu", '"500m"', '"1"'],
  [
    "a name that leaves no room for a suffix",
    {},
    "name",
    '"nightly-billing-of-customers"',
    '"nightly-billing-of-custo"',
    "nightly-billing-of-customers",
  ],
  [
    "a name that is too long for the job",
    { jobName: "nightly-billing-of-customers" },
    "jobName",
    '"nightly-billing-of-customers"',
    '"nightly-billing-of-custo"',
  ],
];

const issuerMistakes: Mistake<Omit<KeyIssuerArgs, "budget"> & { budget: Partial<JobBudget> }>[] = [
  ["no life", { budget: { expiresIn: absent } }, "budget.expiresIn", "missing", '"2h"'],
  ["a holder that launches", { may: ["launch"] }, "may", '"launch"', '"issue"'],
  ["a prefix with a space", { labelPrefix: "my runs" }, "labelPrefix", '"my runs"', '"trigger/"'],
  ["an id in capitals", { policyId: "Trigger" }, "policyId", '"Trigger"', '"trigger-dev"'],
];

const secretMistakes: Mistake<VendorSecretArgs>[] = [
  [
    "a reader that is no address",
    { reader: "keybrake" },
    "reader",
    '"keybrake"',
    '"keybrake@my-project.iam.gserviceaccount.com"',
  ],
  ["a name that is none", { secretId: "my/secret" }, "secretId", '"my/secret"', '"stripe"'],
  ["a new one and an old one", { secretId: "stripe", existing: "stripe" }, "existing", '"given"', "one of the two"],
];

function isOneSentence(
  message: string,
  component: string,
  name: string,
  [, , prop, value, valid]: Mistake<object>,
): void {
  expect(message.split("\n")).toHaveLength(1);
  expect(message.startsWith(`${component} "${name}": \`${prop}\` is ${value}`), message).toBe(true);
  const proposed = message.split("; a valid value is ")[1];
  expect(proposed, message).toContain(valid);
  expect(message.endsWith(".")).toBe(true);
}

const cases = <Args>(mistakes: Mistake<Args>[]) => mistakes.map((mistake) => ({ what: mistake[0], mistake }));

describe("a proxy", () => {
  test.each(cases(proxyMistakes))("with $what stops the preview", async ({ mistake }) => {
    const name = mistake[5] ?? "keybrake";
    const { sourceArchive, ...rest } = proxyArgs;
    const args = { ...rest, ...(mistake[1].image === undefined && { sourceArchive }), ...mistake[1] };
    isOneSentence(await stopped(() => new KeybrakeProxy(name, args)), "KeybrakeProxy", name, mistake);
  });

  test("without a project anywhere stops the preview", async () => {
    let message = "";
    await run(
      () => {
        try {
          new KeybrakeProxy("keybrake", proxyArgs);
        } catch (error) {
          message = (error as Error).message;
        }
        return {};
      },
      { config: { "gcp:project": "" } },
    );
    expect(message).toContain("pulumi config set gcp:project my-project");
  });
});

describe("a job", () => {
  test.each(cases(jobMistakes))("with $what stops the preview", async ({ mistake }) => {
    const name = mistake[5] ?? "billing";
    const args = {
      ...billingArgs,
      ...mistake[1],
      budget: { ...billingArgs.budget, ...mistake[1].budget },
      proxy: reference,
    };
    const { command, ...without } = args;
    const both = mistake[1].containers ? without : { command, ...without };
    isOneSentence(await stopped(() => new BudgetedJob(name, both as BudgetedJobArgs)), "BudgetedJob", name, mistake);
  });

  test("of which the policy alone is wrong is told in the words of the proxy's own reader", async () => {
    const budget = { ...billingArgs.budget, accounts: ["a".repeat(200)] };
    const message = await stopped(() => new BudgetedJob("billing", { ...billingArgs, proxy: reference, budget }));
    expect(message).toMatch(
      /^BudgetedJob "billing": the proxy would refuse the policy `billing`: `budget\.accounts\.0`: .+\.$/,
    );
  });

  test("with several mistakes is told all of them at once, and nothing is made", async () => {
    let message = "";
    const { made } = await run(() => {
      try {
        new BudgetedJob("billing", { ...billingArgs, proxy: reference, tasks: 1, maxRetries: 99 });
      } catch (error) {
        message = (error as Error).message;
      }
      return {};
    });
    expect(message.split("\n")).toHaveLength(2);
    expect(made.map(({ type }) => type)).toEqual(["keybrake-gcp:index:BudgetedJob"]);
  });
});

describe("an issuer", () => {
  const budget = { ...billingArgs.budget };
  test.each(cases(issuerMistakes))("with $what stops the preview", async ({ mistake }) => {
    const args = { proxy: reference, ...mistake[1], budget: { ...budget, ...mistake[1].budget } } as KeyIssuerArgs;
    isOneSentence(await stopped(() => new KeyIssuer("trigger-dev", args)), "KeyIssuer", "trigger-dev", mistake);
  });
});

describe("a vendor's secret", () => {
  const reader = "keybrake@my-project.iam.gserviceaccount.com";
  test.each(cases(secretMistakes))("with $what stops the preview", async ({ mistake }) => {
    isOneSentence(
      await stopped(() => new VendorSecret("stripe", { reader, ...mistake[1] })),
      "VendorSecret",
      "stripe",
      mistake,
    );
  });

  test("whose value stands where its name belongs is refused without repeating it", async () => {
    const message = await stopped(() => new VendorSecret("stripe", { reader, existing: "sk_live_abc+def" }));
    expect(message).toContain("`existing`");
    expect(message).not.toContain("sk_live");
  });
});
