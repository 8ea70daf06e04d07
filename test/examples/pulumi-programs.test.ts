/**
 * Goal: the Pulumi examples declare what they say, without a prop that a preview would refuse; those in YAML and Python use resources,
 * properties and outputs that the package has, spelt and typed as its schema has them.
 * Method: the TypeScript runs on the built library with mocked resources. The YAML is parsed, the Python program is read as a tree; both are
 * held against `components/schema.json`, and what they declare runs on the library, too.
 * Limit: mocks in place of Google and of the engine; no YAML host can be had from a package registry; the Python program itself is not run here.
 */

import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { runProgram } from "../package/run-program.ts";
import { read, root } from "../readme/markdown.ts";
import { nameOf, pythonMissing } from "../support/runtimes.ts";
import { faultsOf, type PackageSchema, type Program } from "./pulumi-schema.ts";

const schema = JSON.parse(read("components/schema.json")) as PackageSchema;

interface PulumiYaml {
  name: string;
  runtime: string;
  config: Record<string, { type?: string }>;
  resources: Program["resources"];
  outputs: Program["outputs"];
}

function yamlProgram(text: string): Program {
  const { config, resources, outputs } = parse(text) as PulumiYaml;
  const types = Object.entries(config).map(([name, { type }]) => [name, type ?? "string"]);
  return { config: Object.fromEntries(types), resources, outputs };
}

async function pythonProgram(): Promise<Program> {
  const script = `${root}test/examples/python_program.py`;
  const ended = await runProgram("python3", [script, `${root}examples/pulumi-python/__main__.py`]);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  return JSON.parse(ended.stdout) as Program;
}

describe("examples/pulumi-yaml", () => {
  const text = read("examples/pulumi-yaml/Pulumi.yaml");

  it("declares a proxy and a job as the schema has them", () => {
    const program = yamlProgram(text);
    expect(Object.keys(program.resources)).toEqual(["keybrake", "billing"]);
    expect(faultsOf(program, schema)).toEqual([]);
  });

  it.each([
    ["usdCap: 2000", "usdCap: a lot", "billing.budget.usdCap: must be a number"],
    ["allowedEndpoints", "endpoints", "billing.budget: has no allowedEndpoints"],
    ["- id: twilio", "- name: twilio", "keybrake.vendors[1]: has no id"],
    ["maxRetries", "retries", "billing: there is no retries"],
    [`\${keybrake.reference}`, `\${keybrake.url}`, `billing.proxy: \${keybrake.url} is of another type`],
    [`\${billing.launchUrl}`, `\${billing.url}`, `output launchUrl: \${billing.url} is no output`],
    ["index:BudgetedJob", "index:Job", "billing: there is no keybrake-gcp:index:Job"],
  ])("would be found wrong with %s as %s", (right, wrong, fault) => {
    const broken = text.replace(right, wrong);
    expect(broken).not.toBe(text);
    expect(faultsOf(yamlProgram(broken), schema)).toContain(fault);
  });
});

describe("examples/pulumi-python", () => {
  it.skipIf(pythonMissing !== null)(
    nameOf("declares what the YAML program declares, as the schema has it", pythonMissing),
    async () => {
      const program = await pythonProgram();
      expect(faultsOf(program, schema)).toEqual([]);
      const { resources, outputs } = yamlProgram(read("examples/pulumi-yaml/Pulumi.yaml"));
      const configured = (text: string): unknown =>
        JSON.parse(text.replaceAll(/\$\{(?:location|image)\}/g, `\${configured}`));
      expect(program.resources).toEqual(configured(JSON.stringify(resources)));
      expect(program.outputs).toEqual(outputs);
    },
  );
});

const configuration = {
  "gcp:project": "my-project",
  "billing:location": "us-central1",
  "billing:image": "us-docker.pkg.dev/my-project/agents/billing-agent",
  "billing:reportsImage": "us-docker.pkg.dev/my-project/agents/reports",
  "billing:operator": "operator@my-project.iam.gserviceaccount.com",
};
const launchUrl = "https://keybrake.example.com/jobs/billing/executions";

async function runMocked(program: string): Promise<{ exports: Record<string, unknown>; made: Record<string, number> }> {
  const script = `${root}test/examples/mocked-program.ts`;
  const quiet = ["--disable-warning=MODULE_TYPELESS_PACKAGE_JSON"];
  const { code, stdout, stderr } = await runProgram(process.execPath, [
    ...quiet,
    script,
    program,
    JSON.stringify(configuration),
  ]);
  if (code !== 0 || stderr !== "") throw new Error(stderr);
  const { exports, made } = JSON.parse(stdout) as { exports: Record<string, unknown>; made: string[] };
  return {
    exports,
    made: Object.fromEntries(
      Object.entries(Object.groupBy(made, (type) => type)).map(([type, all]) => [type, all!.length]),
    ),
  };
}

describe("on the library, with mocked resources", () => {
  it("examples/pulumi-typescript makes a proxy, two jobs, one of them scheduled, and a policy for callers outside", async () => {
    const { exports, made } = await runMocked(`${root}examples/pulumi-typescript/index.ts`);
    expect(exports).toEqual({
      url: "https://keybrake.example.com",
      audience: "keybrake/my-project/us-central1/keybrake",
      launchUrl,
      reportsJob: "reports",
      issuerPolicy: "trigger-dev",
    });
    expect(made).toMatchObject({
      "gcp:cloudrunv2/service:Service": 1,
      "gcp:cloudrunv2/job:Job": 2,
      "gcp:firestore/database:Database": 1,
      "keybrake-gcp:index:KeyIssuer": 1,
    });
  });

  it("examples/pulumi-yaml makes a proxy and a scheduled job", async () => {
    const program = yamlProgram(read("examples/pulumi-yaml/Pulumi.yaml"));
    const { exports, made } = await runMocked(JSON.stringify(program));
    expect(exports).toEqual({ url: "https://keybrake.example.com", launchUrl });
    expect(made).toMatchObject({ "gcp:cloudrunv2/service:Service": 1, "gcp:cloudrunv2/job:Job": 1 });
  });

  it("a value that a preview refuses is found", async () => {
    const program = JSON.stringify(yamlProgram(read("examples/pulumi-yaml/Pulumi.yaml"))).replace(
      "/v1/payment_intents",
      "/v1/payment_intent",
    );
    await expect(runMocked(program)).rejects.toThrow(/POST \/v1\/payment_intent/);
  });
});

it.each(["pulumi-typescript", "pulumi-python", "pulumi-yaml"])(
  "examples/%s names this version of the package",
  (name) => {
    const { dependencies } = JSON.parse(read(`examples/${name}/package.json`)) as {
      dependencies: Record<string, string>;
    };
    const { version } = JSON.parse(read("components/package.json")) as { version: string };
    expect(dependencies["keybrake-gcp"]).toBe(version);
  },
);
