/**
 * Goal: what a job mounts is granted once, under a name that does not change when only its place in the job does; a secret of the proxy is
 * refused however its project is written. Method: jobs under Pulumi's mocks. Limit: no engine and no cloud; that
 * Google removes a binding for whichever resource asks last is its documented behaviour, not shown here.
 */
import * as pulumi from "@pulumi/pulumi";
import { BudgetedJob, type BudgetedJobArgs, KeyIssuer, type ProxyReference } from "keybrake-gcp";
import { describe, expect, test } from "vitest";
import { billingArgs } from "./example-program.ts";
import { type Made, PROJECT, type Run, run } from "./mock-program.ts";
import { policiesOf } from "./policies-of.ts";

const reference: ProxyReference = {
  url: "https://keybrake.example.com",
  audience: "keybrake/my-project/us-central1/keybrake",
  database: "keybrake",
  project: PROJECT,
  location: "us-central1",
  serviceAccountEmail: "keybrake@my-project.iam.gserviceaccount.com",
  vendors: ["stripe"],
  secrets: ["projects/123/secrets/stripe", "projects/my-project/secrets/keybrake-pepper"],
};

const job = (args: Partial<BudgetedJobArgs>): Promise<Run> =>
  run(() => {
    new BudgetedJob("billing", { ...billingArgs, proxy: reference, ...args });
    return {};
  });

/** @returns what stops the program. */
async function stopped(args: Partial<BudgetedJobArgs>): Promise<string> {
  let message = "";
  await run(() => {
    try {
      new BudgetedJob("billing", { ...billingArgs, proxy: reference, ...args });
    } catch (error) {
      if (!pulumi.RunError.isInstance(error)) throw error;
      message = error.message;
    }
    return {};
  });
  return message;
}

async function bindings(args: Partial<BudgetedJobArgs>, type: string): Promise<string[]> {
  const of = (each: Made) => each.type.endsWith(`:${type}`);
  return (await job(args)).made.filter(of).map(({ name, inputs }) => `${name} ${inputs.secretId ?? inputs.bucket}`);
}

describe("the right to read a secret", () => {
  const read = (args: Partial<BudgetedJobArgs>) => bindings(args, "SecretIamMember");

  test("keeps its name when its variable is renamed, or it moves into a volume", async () => {
    const expected = ["billing-reads-database projects/my-project/secrets/database"];
    expect(await read({ env: [{ name: "OLD_PASSWORD", secret: "database" }] })).toEqual(expected);
    expect(await read({ env: [{ name: "PASSWORD", secret: "database" }] })).toEqual(expected);
    expect(await read({ volumes: [{ name: "db", mountPath: "/db", secret: "database" }] })).toEqual(expected);
    const full = "projects/my-project/secrets/database";
    expect(await read({ env: [{ name: "PASSWORD", secret: full }] })).toEqual(expected);
  });

  test("is given once, whichever way the secret is written", async () => {
    const env = [
      { name: "A", secret: "database" },
      { name: "B", secret: "projects/my-project/secrets/database" },
    ];
    expect(await read({ env })).toHaveLength(1);
  });

  test("is told apart from that of another project's secret of the same name", async () => {
    const env = [
      { name: "A", secret: "database" },
      { name: "a", secret: "projects/other-project/secrets/database" },
    ];
    expect(await read({ env })).toEqual([
      "billing-reads-database projects/my-project/secrets/database",
      "billing-reads-other-project.database projects/other-project/secrets/database",
    ]);
  });
});

test("the right to use a bucket keeps its name when its volume is renamed, and is given once", async () => {
  const volume = { name: "in", mountPath: "/in", bucket: "my-inbox" };
  const expected = ["billing-uses-my-inbox my-inbox"];
  expect(await bindings({ volumes: [volume] }, "BucketIAMMember")).toEqual(expected);
  const twice = [
    { ...volume, name: "inbox" },
    { ...volume, name: "again", mountPath: "/again" },
  ];
  expect(await bindings({ volumes: twice }, "BucketIAMMember")).toEqual(expected);
});

test("a secret of the own project is mounted by its short name, in a volume as in a variable", async () => {
  const secret = "projects/my-project/secrets/database";
  const { made } = await job({ volumes: [{ name: "db", mountPath: "/db", secret }] });
  const { inputs } = made.find(({ type }) => type === "gcp:cloudrunv2/job:Job")!;
  const { template } = inputs.template as { template: { volumes: object[] } };
  expect(template.volumes).toMatchObject([{ secret: { secret: "database" } }]);
});

describe("a secret of the proxy", () => {
  test.each(["stripe", "projects/my-project/secrets/stripe", "projects/123/secrets/stripe"])(
    "that the proxy names by its project's number is refused to a job as %s",
    async (secret) => {
      expect(await stopped({ env: [{ name: "OWN", secret }] })).toContain("a secret of the proxy");
    },
  );

  test("of a reference that another program exported without its secrets stops nothing", async () => {
    const { secrets: _, ...exported } = reference;
    const { made } = await job({ proxy: pulumi.output(exported), env: [{ name: "OWN", secret: "database" }] });
    expect(made.map(({ name }) => name)).toContain("billing-reads-env-OWN");
  });
});

test("an empty list of a policy is written as Firestore answers it, so that a second `up` finds no change", async () => {
  const made = await run(() => {
    const { proxy, budget } = { proxy: reference, budget: { ...billingArgs.budget, expiresIn: "1h" } };
    new KeyIssuer("trigger-dev", { proxy, budget });
    return {};
  });
  const document = made.made.find(({ name }) => name === "trigger-dev-policy");
  expect(JSON.parse(String(document?.inputs.fields))).toMatchObject({ principals: { arrayValue: {} } });
  expect(String(document?.inputs.fields)).not.toContain('"values":[]');
  expect(policiesOf(made).get("trigger-dev")).toMatchObject({ principals: [], principal_ids: [] });
});

test.each([
  ["4", "512Mi", '"2Gi"'],
  ["1", "8Gi", '"4Gi"'],
])("%s CPU with %s, which Cloud Run would refuse, stops the preview", async (cpu, memory, valid) => {
  const sentence = await stopped({ cpu, memory });
  expect(sentence).toContain(`\`memory\` is "${memory}", and \`cpu\` ${cpu}`);
  expect(sentence).toContain(`a valid value is ${valid}.`);
});

test("a variable of any of the proxy's vendors is refused, though the job's budget is for another one", async () => {
  const proxy = { ...reference, vendors: ["stripe", "resend"] };
  const message = await stopped({ proxy, env: [{ name: "RESEND_API_KEY", secret: "own-resend" }] });
  expect(message).toContain("RESEND_API_KEY");
  expect(message).toContain("would go around the cap");
  expect(await stopped({ env: [{ name: "RESEND_API_KEY", secret: "own-resend" }] })).toBe("");
});
