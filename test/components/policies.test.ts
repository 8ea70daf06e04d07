/**
 * Goal: the policies that components write are policies to the proxy, and say what the props say. Method: the documents of the README's
 * program, decoded and read by the service's own code with its real connectors. Limit: no Firestore; the emulator has its own test.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../service/config.ts";
import { readPolicy } from "../../service/policies/policy-rules.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { exampleProgram } from "./example-program.ts";
import { type Run, run } from "./mock-program.ts";
import { policiesOf } from "./policies-of.ts";

const all = loadVendors({ now: Date.now });
const vendors = new Map(["stripe", "twilio"].map((id) => [id, all.get(id)!]));

let example: Run;
beforeAll(async () => {
  example = await run(() => {
    exampleProgram();
    return {};
  });
});

function policyOf(id: string) {
  const doc = policiesOf(example).get(id);
  if (!doc) throw new Error(`there is no policy ${id}`);
  const read = readPolicy(id, doc, vendors);
  if ("fault" in read) throw new Error(`${id}: ${read.fault}`);
  return read.policy;
}

describe("the policies of the README's program", () => {
  test("are read by the proxy without a fault, each of them", () => {
    const ids = [...policiesOf(example).keys()].sort();
    expect(ids).toEqual(["billing", "keybrake-operators", "keybrake-reconcile", "texts", "trigger-dev"]);
    for (const id of ids) expect(policyOf(id).id).toBe(id);
  });

  test("say of a job what its props say", () => {
    expect(policyOf("billing")).toMatchObject({
      sees: "own",
      job: {
        project: "my-project",
        location: "us-central1",
        service_account: "billing-tasks@my-project.iam.gserviceaccount.com",
      },
      budget: { vendors: ["stripe"], usd_cap: 2_000_000_000, expires_in: 7_200_000 },
    });
  });

  test("give a key that lasts as long as all retries of all tasks, when no life is said", () => {
    // One wave of 600 s, and three more attempts of it.
    expect(policyOf("texts").budget?.expires_in).toBe(4 * 600_000);
  });

  test("name every container of a job, so that each gets the key", () => {
    expect(policyOf("texts").job?.containers).toEqual(["agent", "cache"]);
    expect(policyOf("billing").job?.containers).toEqual([]);
  });

  test("bear the names of their jobs, by which the proxy finds them", () => {
    const jobs = example.made
      .filter(({ type }) => type === "gcp:cloudrunv2/job:Job")
      .map(({ inputs }) => String(inputs.name));
    expect(jobs.filter((name) => policyOf(name).job === undefined)).toEqual([]);
    expect(jobs).toEqual(["billing", "texts"]);
  });
});

describe("the proxy's environment", () => {
  test("is read by the service without a fault or a warning", () => {
    const service = example.made.find(({ type }) => type === "gcp:cloudrunv2/service:Service");
    const { containers } = (service?.inputs.template ?? {}) as {
      containers: { envs: { name: string; value: string }[] }[];
    };
    const env = Object.fromEntries(containers[0]!.envs.map(({ name, value }) => [name, value]));
    const config = readConfig({ ...env, K_SERVICE: "keybrake", PORT: "8080" });
    expect(config.warnings).toEqual([]);
    expect(config).toMatchObject({
      host: "0.0.0.0",
      store: "firestore:my-project/keybrake",
      audience: "keybrake/my-project/us-central1/keybrake",
      adminKey: null,
      retentionDays: 400,
      pepper: { from: "manager", name: "projects/my-project/secrets/keybrake-pepper" },
    });
    expect([...config.vendors].map(([id, { secret }]) => [id, secret])).toEqual([
      ["stripe", { from: "manager", name: "projects/my-project/secrets/stripe" }],
      ["twilio", { from: "manager", name: "projects/my-project/secrets/twilio-main" }],
    ]);
  });
});
