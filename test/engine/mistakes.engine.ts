/**
 * Goal: each mistake stops `pulumi preview`, before anything is made, with one sentence that names the component, the prop,
 * the value and a valid one; a value that is not known yet stops nothing.
 * Method: the README's program with one mistake each, previewed by the real engine; the message is what Pulumi prints.
 * Limit: that the list is complete is nobody's proof; the rules themselves are tested with the components.
 */
import * as gcp from "@pulumi/gcp";
import * as pulumi from "@pulumi/pulumi";
import type { PulumiFn } from "@pulumi/pulumi/automation/index.js";
import { BudgetedJob, KeybrakeProxy, KeyIssuer, VendorSecret } from "keybrake-gcp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, openBench } from "./bench.ts";
import { billing, type Wishes } from "./programs/billing.ts";

interface Mistake {
  wishes: Wishes;
  /** How the sentence begins: `BudgetedJob "billing": …`. */
  component: string;
  prop: string;
  value: string;
}

const ofJob = (prop: string, value: string, job: Wishes["job"] & object): Mistake => ({
  wishes: { job },
  component: 'BudgetedJob "billing"',
  prop,
  value,
});
const ofBudget = (prop: string, value: string, budget: Wishes["budget"] & object): Mistake => ({
  wishes: { budget },
  component: 'BudgetedJob "billing"',
  prop: `budget.${prop}`,
  value,
});
const ofProxy = (prop: string, value: string, proxy: Wishes["proxy"] & object): Mistake => ({
  wishes: { proxy },
  component: 'KeybrakeProxy "keybrake"',
  prop,
  value,
});
const env = (name: string, secret?: string) => ({ env: [secret ? { name, secret } : { name, value: "x" }] });

const mistakes: Record<string, Mistake> = {
  "a cap of nothing": ofBudget("usdCap", "0", { usdCap: 0 }),
  "a negative cap": ofBudget("usdCap", "-5", { usdCap: -5 }),
  "a cap with parts of a cent": ofBudget("usdCap", "0.001", { usdCap: 0.001 }),
  "an endpoint that no connector prices": ofBudget("allowedEndpoints", '"POST /v1/payment_intent"', {
    allowedEndpoints: ["POST /v1/payment_intent"],
  }),
  "a vendor that the proxy has not": ofBudget("vendors", '["stripee"]', { vendors: ["stripee"] }),
  "a life shorter than one attempt": ofBudget("expiresIn", '"5m"', { expiresIn: "5m" }),
  "a life that is none": ofBudget("expiresIn", '"2 hours"', { expiresIn: "2 hours" }),
  "more tasks at a time than tasks": ofJob("parallelism", "501", { parallelism: 501 }),
  "no tasks": ofJob("tasks", "0", { tasks: 0, parallelism: 0 }),
  "too many retries": ofJob("maxRetries", "11", { maxRetries: 11 }),
  "a time limit that is none": ofJob("taskTimeout", '"ten minutes"', { taskTimeout: "ten minutes" }),
  "a bad cron": ofJob("schedule.cron", '"0 25 * * *"', { schedule: { cron: "0 25 * * *" } }),
  "a bad time zone": ofJob("schedule.timeZone", '"Europe/Berlino"', {
    schedule: { cron: "0 2 * * *", timeZone: "Europe/Berlino" },
  }),
  "a label in capitals": ofJob("labels.team", '"Billing"', { labels: { team: "Billing" } }),
  "a variable that is injected": ofJob("env[0].name", '"STRIPE_SECRET_KEY"', env("STRIPE_SECRET_KEY")),
  "the vendor's secret under the name that is injected": ofJob(
    "env[0].name",
    '"STRIPE_SECRET_KEY"',
    env("STRIPE_SECRET_KEY", "stripe"),
  ),
  "the vendor's secret under another name": ofJob("env[0].secret", '"stripe"', env("OTHER", "stripe")),
  "a variable of Cloud Run": ofJob("env[0].name", '"CLOUD_RUN_TASK_INDEX"', env("CLOUD_RUN_TASK_INDEX")),
  "a variable of the proxy": ofJob("env[0].name", '"KEYBRAKE_URL"', env("KEYBRAKE_URL")),
  "a name too long for its account": ofJob("jobName", '"billing-of-all-the-customers"', {
    jobName: "billing-of-all-the-customers",
  }),
  "a vendor without a connector": ofProxy("vendors[0].id", '"strype"', { vendors: [{ id: "strype" }] }),
  "no vendors": ofProxy("vendors", "[]", { vendors: [] }),
  "a zone for a region": ofProxy("location", '"us-central1-a"', { location: "us-central1-a" }),
  "more instances at least than at most": ofProxy("minInstances", "5", { minInstances: 5 }),
  "a retention of no days": ofProxy("retentionDays", "0", { retentionDays: 0 }),
  "an administrator that is no address": ofProxy("administrators[0].email", '"ops"', {
    administrators: [{ email: "ops" }],
  }),
};

describe("a preview", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
  });
  afterAll(() => bench.close());

  const messageOf = async (program: PulumiFn) => {
    const stopped = await bench.preview(program).then(
      () => "the preview went through",
      (error: Error) => error.message,
    );
    expect(bench.cloud.ids()).toEqual([]);
    return stopped;
  };

  test.each(Object.entries(mistakes))("stops at %s", async (_, { wishes, component, prop, value }) => {
    const message = await messageOf(billing(wishes));
    const sentence = message.split("\n").find((line) => line.includes(`${component}: \`${prop}\` is `)) ?? message;
    expect(sentence).toContain(`${component}: \`${prop}\` is ${value}, `);
    expect(sentence).toMatch(/; a valid value is .+\.$/);
    expect(message).not.toMatch(/^\s+at /m);
  });

  test("stops at a mistake of an issuer and of a secret", async () => {
    const proxy = {
      ...{ url: "https://keybrake.run.app", audience: "keybrake/p/l/n", database: "keybrake", project: "engine-test" },
      ...{
        location: "us-central1",
        serviceAccountEmail: "keybrake@engine-test.iam.gserviceaccount.com",
        vendors: ["stripe"],
      },
    };
    const budget = { usdCap: 5, vendors: ["stripe"], allowedEndpoints: ["POST /v1/payment_intents"] };
    expect(
      await messageOf(async () => {
        new KeyIssuer("trigger", { proxy, budget });
      }),
    ).toMatch(/KeyIssuer "trigger": `budget\.expiresIn` is missing, .+; a valid value is "2h"\./);
    expect(
      await messageOf(async () => {
        new VendorSecret("stripe", { reader: "nobody" });
      }),
    ).toMatch(/VendorSecret "stripe": `reader` is "nobody", .+; a valid value is /);
  });

  test("stops at a mistake in a value that is known only as an output", async () => {
    const message = await messageOf(billing({ budget: { usdCap: pulumi.output(-1) } }));
    expect(message).toContain('BudgetedJob "billing": `budget.usdCap` is -1, ');
  });

  test("tells all the mistakes of a component together", async () => {
    const message = await messageOf(billing({ budget: { usdCap: 0 }, job: { maxRetries: 11 } }));
    expect(message).toMatch(/`budget\.usdCap` is 0/);
    expect(message).toMatch(/`maxRetries` is 11/);
  });

  test("goes through with values that are not known yet", async () => {
    await bench.preview(async () => {
      const made = new gcp.serviceaccount.Account("made-later", { accountId: "made-later" });
      const later = made.uniqueId.apply(String);
      const keybrake = new KeybrakeProxy("keybrake", {
        location: "us-central1",
        vendors: [{ id: "stripe", secret: later }],
        administrators: [{ email: made.email }],
        connectors: later,
      });
      new BudgetedJob("billing", {
        proxy: pulumi.output(keybrake.reference),
        image: later,
        env: [{ name: "MODE", value: later }],
        budget: {
          usdCap: later.apply(Number),
          vendors: ["stripe"],
          allowedEndpoints: later.apply((text) => [text]),
          expiresIn: later,
        },
      });
    });
  });
});
