/**
 * Goal: what an engineer sees of the library in Pulumi's own engine: one `up`, nothing to do on the second, a small
 * difference for a small change, the proxy left alone by all that concerns a job, and a destroy that takes two steps.
 * Method: the README's program, inline, in the real engine, from the compiled package; `gcp` is the test's provider.
 * Limit: no Google API is behind it (see gcp/provider.ts): what Google fills in could still show as a difference.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Bench, type Change, openBench } from "./bench.ts";
import { billing } from "./programs/billing.ts";

const policy = "gcp:firestore/document:Document";
const service = "gcp:cloudrunv2/service:Service";
const cloudRunJob = "gcp:cloudrunv2/job:Job";
const scheduler = "gcp:cloudscheduler/job:Job";
/** Of a `--diff`: Pulumi marks these lines and repeats what surrounds them, all of a policy for one cap. */
const MOST_MARKED_LINES = 16;

function marked(text: string): string {
  const lines = text.split("\n").filter((line) => /^\s*[-+~]\s/.test(line));
  expect(lines.length).toBeLessThanOrEqual(MOST_MARKED_LINES);
  return lines.map((line) => line.trim()).join("\n");
}

function short(changes: readonly Change[]): string[] {
  return changes.map(({ op, type, properties }) => `${op} ${type} ${properties.join(" ")}`.trim());
}

describe("the library in the real engine", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
    await bench.up(billing());
  });
  afterAll(() => bench.close());

  test("up makes everything, and the outputs say where", async () => {
    const outputs = await bench.stack.outputs();
    expect(outputs.jobName?.value).toBe("billing");
    expect(outputs.policy?.value).toBe("billing");
    expect(outputs.launchUrl?.value).toBe(`${outputs.url?.value}/jobs/billing/executions`);
    for (const type of [policy, service, cloudRunJob, scheduler]) expect(bench.cloud.ids(type)).not.toEqual([]);
  });

  test("every resource has a component for a parent", async () => {
    const { deployment } = await bench.stack.exportStack();
    const resources: { urn: string; type: string; parent?: string }[] = deployment.resources;
    const orphans = resources.filter(
      ({ type, parent }) => type.startsWith("gcp:") && !parent?.includes("keybrake-gcp:"),
    );
    expect(orphans.map(({ urn }) => urn)).toEqual([]);
  });

  test("a second up finds nothing to do", async () => {
    expect((await bench.up(billing())).changes).toEqual([]);
  });

  test("another cap is one line of the job's policy, and nothing else", async () => {
    const { changes, text } = await bench.preview(billing({ budget: { usdCap: 2500 } }));
    expect(changes).toEqual([{ op: "update", type: policy, name: "billing-policy", properties: ["fields"] }]);
    expect(marked(text)).toMatch(/^~ usdCap +: 2000 => 2500$/m);
    expect(marked(text)).toMatch(/^~ stringValue: "2000\.00" => "2500\.00"$/m);
    expect(marked(text)).not.toContain("payment_intents");
  });

  test("another endpoint changes the job's policy, and nothing else", async () => {
    const allowedEndpoints = ["POST /v1/payment_intents", "POST /v1/refunds"];
    const { changes, text } = await bench.preview(billing({ budget: { allowedEndpoints } }));
    expect(changes).toEqual([{ op: "update", type: policy, name: "billing-policy", properties: ["fields"] }]);
    expect(marked(text)).toContain('"POST /v1/refunds"');
  });

  test("another time changes Scheduler's job, and nothing else", async () => {
    const { changes, text } = await bench.preview(
      billing({ job: { schedule: { cron: "0 3 * * *", timeZone: "Europe/Berlin" } } }),
    );
    expect(short(changes)).toEqual([`update ${scheduler} schedule`]);
    expect(marked(text)).toContain('~ schedule: "0 2 * * *" => "0 3 * * *"');
  });

  test("another image changes the Cloud Run job, and nothing else", async () => {
    const { changes } = await bench.preview(billing({ job: { image: "us-docker.pkg.dev/engine-test/agents/other" } }));
    expect(short(changes)).toEqual([`update ${cloudRunJob} template.template.containers[0].image`]);
  });

  test("a new version of the service replaces the archive and makes one new revision, and nothing else", async () => {
    const sourceArchive = join(import.meta.dirname, "fixtures", "other-service.txt");
    const { changes } = await bench.preview(billing({ proxy: { sourceArchive } }));
    const touched = new Map(changes.map(({ type, op }) => [type, op]));
    expect([...touched.keys()].sort()).toEqual([service, "gcp:storage/bucketObject:BucketObject"]);
    expect(touched.get(service)).toBe("update");
  });

  test("another name of the job replaces the job and what belongs to it, and leaves the proxy alone", async () => {
    const { changes } = await bench.preview(billing({ job: { jobName: "invoices" } }));
    const replaced = changes.filter(({ op }) => op === "replace").map(({ type }) => type);
    expect(replaced).toEqual(
      expect.arrayContaining([cloudRunJob, policy, scheduler, "gcp:serviceaccount/account:Account"]),
    );
    expect(changes.filter(({ name }) => name.startsWith("keybrake"))).toEqual([]);
  });

  test("retries without the task's number in the key are warned of", async () => {
    expect((await bench.preview(billing())).warnings).toEqual([]);
    const { warnings } = await bench.preview(billing({ job: { taskContext: false } }));
    expect(warnings).toEqual([expect.stringMatching(/BudgetedJob "billing".*maxRetries/)]);
  });

  test("a replacement goes through, and the next up finds nothing to do", async () => {
    await bench.up(billing({ job: { jobName: "invoices" } }));
    expect(bench.cloud.ids(cloudRunJob)).toEqual([expect.stringContaining("invoices")]);
    expect((await bench.up(billing({ job: { jobName: "invoices" } }))).changes).toEqual([]);
    await bench.up(billing());
  });
});

describe("destroy", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await openBench();
    await bench.up(billing());
  });
  afterAll(() => bench.close());

  test("is refused by its own preview while the database and the pepper are protected: nothing is deleted", async () => {
    const before = bench.cloud.ids();
    await expect(bench.type(["destroy", "--yes", "--stack", "test"])).rejects.toThrow(
      /keybrake-ledger" cannot be deleted\s+because it is protected/,
    );
    expect(bench.cloud.ids()).toEqual(before);
  });

  test("without the preview it takes what holds no money records, and leaves the database, the pepper and the service", async () => {
    await expect(bench.stack.destroy()).rejects.toThrow();
    const left = bench.cloud.ids();
    for (const type of [service, "gcp:firestore/database:Database"]) {
      expect(left.filter((id) => id.startsWith(`${type}/`))).toHaveLength(1);
    }
    expect(left.filter((id) => id.startsWith("gcp:secretmanager/secret:Secret") && id.includes("pepper"))).toHaveLength(
      1,
    );
    expect((await bench.up(billing())).changes.map(({ op }) => op)).not.toContain("replace");
  });

  test("with `deleteProtection: false` in one up, and a destroy after it, nothing stays behind", async () => {
    const { changes } = await bench.up(billing({ proxy: { deleteProtection: false } }));
    expect(changes.map(({ op }) => op)).not.toContain("replace");
    await bench.type(["destroy", "--yes", "--stack", "test"]);
    expect(bench.cloud.ids()).toEqual([]);
  });
});
