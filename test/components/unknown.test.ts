/**
 * Goal: a preview never fails for a value that only the cloud knows, and what is known is checked all the same. Method: programs whose props
 * are outputs of resources that are not made yet, under mocks that know nothing of Google's. Limit: mocks; the engine has its own test.
 */
import * as gcp from "@pulumi/gcp";
import * as pulumi from "@pulumi/pulumi";
import { BudgetedJob, KeybrakeProxy, KeyIssuer, type ProxyReference, VendorSecret } from "keybrake-gcp";
import { describe, expect, test } from "vitest";
import { billingArgs, proxyArgs } from "./example-program.ts";
import { type Run, run } from "./mock-program.ts";

const preview = (program: () => void): Promise<Run> =>
  run(
    () => {
      program();
      return {};
    },
    { preview: true },
  );

/** A text that is not known before the bucket is made. */
const later = (): pulumi.Output<string> => new gcp.storage.Bucket("later", { location: "US" }).url;

const typesOf = ({ made }: Run): Set<string> => new Set(made.map(({ type }) => type));

describe("a preview of values that are not known yet", () => {
  test("goes through for every prop that may be one", async () => {
    const made = await preview(() => {
      const text = later();
      const number = text.apply(Number);
      const keybrake = new KeybrakeProxy("keybrake", {
        ...proxyArgs,
        project: text,
        vendors: [{ id: "lob", secret: text, upstream: text }],
        audience: text,
        connectors: text,
        administrators: [{ email: text, may: text.apply((may) => [may]) }],
        notificationChannels: [text],
      });
      const budget = {
        usdCap: number,
        issuedUsdPerDay: number,
        vendors: ["lob"],
        allowedEndpoints: [text],
        expiresIn: text,
        limits: { maxCalls: number },
      };
      const proxy = keybrake.reference;
      const env = [{ name: "MODE", secret: text }];
      new BudgetedJob("billing", { ...billingArgs, proxy, image: text, env, budget });
      new KeyIssuer("trigger-dev", { proxy, budget });
      new VendorSecret("other", { existing: text, reader: text });
    });
    expect(typesOf(made)).toContain("gcp:cloudrunv2/job:Job");
    expect(typesOf(made)).toContain("gcp:cloudscheduler/job:Job");
  });

  test("goes through for a reference that is an output as a whole, as of another program", async () => {
    const made = await preview(() => {
      const proxy = later().apply((url) => ({ url })) as unknown as pulumi.Output<ProxyReference>;
      new BudgetedJob("billing", { ...billingArgs, proxy });
    });
    expect(typesOf(made)).toContain("gcp:firestore/document:Document");
  });

  test("still checks what it knows: a policy of a proxy that is not there yet is written out in full", async () => {
    const { made } = await preview(() => {
      const { reference: proxy } = new KeybrakeProxy("keybrake", proxyArgs);
      new BudgetedJob("billing", { ...billingArgs, proxy });
    });
    const policy = made.find(({ name }) => name === "billing-policy");
    expect(String(policy?.inputs.fields)).toContain("billing-tasks@my-project.iam.gserviceaccount.com");
  });

  test("reads a reference that another program exported", async () => {
    const { made } = await run(() => {
      const exported = pulumi.output({
        url: "https://keybrake.example.com",
        audience: "keybrake/my-project/us-central1/keybrake",
        database: "keybrake",
        project: "my-project",
        location: "us-central1",
        serviceAccountEmail: "keybrake@my-project.iam.gserviceaccount.com",
        vendors: ["stripe"],
      });
      new BudgetedJob("billing", { ...billingArgs, proxy: exported });
      return {};
    });
    const schedule = made.find(({ name }) => name === "billing-schedule");
    expect(schedule?.inputs.httpTarget).toMatchObject({ uri: "https://keybrake.example.com/jobs/billing/executions" });
  });
});
