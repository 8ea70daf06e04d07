/**
 * Goal: everybody may do what components/least-privilege.json says, nothing more and nothing less. Method: every IAM binding and every
 * principal of every policy that the README's program makes is put into the table's words and compared with it, both ways.
 * Limit: what a role of Google's contains is Google's to say, and whether these suffice was never tried on a real project.
 */
import { readFileSync } from "node:fs";
import { BudgetedJob, KeybrakeProxy } from "keybrake-gcp";
import { beforeAll, describe, expect, test } from "vitest";
import { billingArgs, exampleProgram, proxyArgs } from "./example-program.ts";
import { type Made, PROJECT, type Run, run } from "./mock-program.ts";
import { policiesOf } from "./policies-of.ts";

interface Right {
  who: string;
  may: string;
  on: string;
}

const table = JSON.parse(
  readFileSync(new URL("../../components/least-privilege.json", import.meta.url), "utf8"),
) as (Right & {
  why: string;
})[];

let example: Run;
beforeAll(async () => {
  example = await run(() => {
    const { keybrake } = exampleProgram();
    new BudgetedJob("files", {
      ...billingArgs,
      proxy: keybrake.reference,
      volumes: [{ name: "outbox", mountPath: "/outbox", bucket: "my-outbox" }],
    });
    return {};
  });
});

describe("who may do what", () => {
  test("is what the table says: each right of the program is in it, and each of its rows is in the program", () => {
    const found = [...bindings(example).map(rightOf), ...principals(example)];
    expect(texts(found)).toEqual(texts(table));
  });

  test("is given by single members, never to everybody, and never on a whole project without a condition", () => {
    for (const { type, inputs } of bindings(example)) {
      expect(type).toMatch(/IamMember$|IAMMember$/);
      expect(inputs.member).toMatch(/^serviceAccount:[a-z-]+@my-project\.iam\.gserviceaccount\.com$/);
      if (type.startsWith("gcp:projects/")) expect(inputs.condition).toBeDefined();
    }
  });

  test("leaves Scheduler's accounts without any right in Google Cloud", () => {
    const members = bindings(example).map(({ inputs }) => String(inputs.member));
    expect(members.filter((member) => /-sched@|-reconcile@/.test(member))).toEqual([]);
  });

  test("does not let the proxy start a job that is only claimed for", () => {
    const roles = bindings(example).filter(
      ({ inputs, type }) => type.includes("jobIamMember") && inputs.name === "texts",
    );
    expect(roles.map(({ inputs }) => inputs.role)).toEqual(["roles/run.viewer"]);
  });

  test("gives each job an account of its own", async () => {
    const two = await run(() => {
      const { reference: proxy } = new KeybrakeProxy("keybrake", proxyArgs);
      new BudgetedJob("first", { ...billingArgs, proxy });
      new BudgetedJob("second", { ...billingArgs, proxy });
      return {};
    });
    const jobs = two.made.filter(({ type }) => type === "gcp:cloudrunv2/job:Job");
    const accounts = jobs.map(
      ({ inputs }) => (inputs.template as { template: { serviceAccount: string } }).template.serviceAccount,
    );
    expect(accounts).toEqual([
      `first-tasks@${PROJECT}.iam.gserviceaccount.com`,
      `second-tasks@${PROJECT}.iam.gserviceaccount.com`,
    ]);
  });
});

const bindings = ({ made }: Run): Made[] =>
  made.filter(({ type }) => /iam(?:member|binding|policy)|auditconfig/i.test(type));

const texts = (rights: Right[]): string[] =>
  [...new Set(rights.map(({ who, may, on }) => `${who} | ${may} | ${on}`))].sort();

function rightOf({ type, inputs }: Made): Right {
  const account = /^serviceAccount:([^@]+)@/.exec(String(inputs.member))?.[1];
  const who =
    account === "keybrake"
      ? "the proxy's account"
      : account?.endsWith("-tasks")
        ? "the tasks' account"
        : `? ${account}`;
  return { who, may: String(inputs.role), on: target(type, inputs, who) };
}

function target(type: string, inputs: Record<string, unknown>, who: string): string {
  if (type.startsWith("gcp:projects/")) {
    const { expression } = inputs.condition as { expression: string };
    return expression === `resource.name == "projects/${PROJECT}/databases/keybrake"`
      ? "the project, with a condition: its own database alone"
      : `? ${expression}`;
  }
  if (type.startsWith("gcp:secretmanager/")) {
    const secret = String(inputs.secretId).replace(/^.*\//, "");
    if (secret === "keybrake-pepper") return "its pepper's secret";
    if (secret === "stripe" || secret === "twilio-main") return "each vendor's secret";
    return who === "the tasks' account" ? "each secret that its job mounts, never a proxy's" : `? ${secret}`;
  }
  if (type.startsWith("gcp:storage/")) {
    return inputs.bucket === "my-inbox"
      ? "each bucket that its job mounts read-only"
      : "each bucket that its job mounts";
  }
  return inputs.role === "roles/run.viewer" ? "each job" : "each job with `setup` launch or a schedule";
}

interface Policy {
  job?: { service_account: string };
  sees?: string;
  issuer_may?: string[];
  principals: { email: string; may: string[] }[];
}

function principals(of: Run): Right[] {
  return [...policiesOf(of)].flatMap(([id, doc]) => {
    const policy = doc as unknown as Policy;
    const own = policy.principals.flatMap(({ email, may }) => rightsOf(id, policy, email, may));
    const issuers = (policy.issuer_may ?? []).join(", ");
    const on = "the proxy: keys of that issuer's policy";
    return issuers === "" ? own : [...own, { who: "a holder of an issuer key", may: issuers, on }];
  });
}

function rightsOf(id: string, { job, sees }: Policy, email: string, may: string[]): Right[] {
  if (sees === "all") return [{ who: "an administrator", may: may.join(", "), on: "the proxy: all jobs and keys" }];
  if (email.startsWith(`${id}-tasks@`) && job?.service_account === email) {
    const who = "the tasks' account";
    const others = may.filter((each) => each !== "claim").join(", ");
    const claims = { who, may: "claim", on: "the proxy: keys of its own job, with `setup` claim" };
    return [{ who, may: others, on: "the proxy: keys of its own job" }, ...(may.includes("claim") ? [claims] : [])];
  }
  if (email.startsWith(`${id}-sched@`))
    return [{ who: "the job's Scheduler account", may: may.join(", "), on: "the proxy: its own job" }];
  if (email.startsWith(`${id}@`))
    return [{ who: "the proxy's Scheduler account", may: may.join(", "), on: "the proxy" }];
  return [{ who: `? ${email}`, may: may.join(", "), on: id }];
}
