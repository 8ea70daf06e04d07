/**
 * Goal: the stack's configuration becomes one proxy, and a mistake in it is one sentence with the command that sets it right. Method: the
 * program of `infra` under Pulumi's mocks. Limit: no language host and no engine run it here, so that Pulumi.yaml itself is only compared
 * with what the program reads.
 */
import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { parse } from "yaml";
import { type Run, run } from "./mock-program.ts";

const infra = (config: Record<string, string>): Promise<Run> => {
  vi.resetModules();
  return run(async () => ({ ...(await import("../../infra/index.ts")) }), { config });
};

describe("the program of one proxy", () => {
  test("makes a proxy of the configuration, and exports what jobs need", async () => {
    const { made, outputs } = await infra({
      "keybrake:location": "europe-west1",
      "keybrake:vendors": '["stripe", "twilio=projects/other/secrets/twilio"]',
      "keybrake:administrators": '["ops@my-project.iam.gserviceaccount.com"]',
      "keybrake:minInstances": "0",
    });
    const proxy = made.find(({ type }) => type === "keybrake-gcp:index:KeybrakeProxy");
    expect(proxy?.inputs).toEqual({
      location: "europe-west1",
      vendors: [{ id: "stripe" }, { id: "twilio", secret: "projects/other/secrets/twilio" }],
      administrators: [{ email: "ops@my-project.iam.gserviceaccount.com" }],
      minInstances: 0,
      deleteProtection: true,
      enableApis: true,
    });
    expect(Object.keys(outputs).sort()).toEqual(["audience", "database", "reference", "serviceAccountEmail", "url"]);
  });

  test("takes the defaults that Pulumi.yaml tells of, and reads every value that it names", async () => {
    const yaml = parse(readFileSync(new URL("../../Pulumi.yaml", import.meta.url), "utf8")) as {
      config: Record<string, { default: unknown }>;
    };
    const defaults = Object.entries(yaml.config).map(([name, { default: value }]) => [
      `keybrake:${name}`,
      typeof value === "object" ? JSON.stringify(value) : String(value),
    ]);
    const bare = await infra({});
    const told = await infra(Object.fromEntries(defaults) as Record<string, string>);
    expect(told.made).toEqual(bare.made);
    const program = readFileSync(new URL("../../infra/index.ts", import.meta.url), "utf8");
    for (const name of Object.keys(yaml.config)) expect(program).toContain(`("${name}"`);
  });

  test.each([
    ["minInstances", "many", "a whole number", "pulumi config set minInstances 1"],
    ["deleteProtection", "yes", "true or false", "pulumi config set deleteProtection true"],
    ["vendors", "stripe", "a list of texts", "pulumi config set --path 'vendors[0]' stripe"],
  ])("stops at a wrong %s with the command that sets it right", async (name, value, what, command) => {
    vi.resetModules();
    // Pulumi's stack takes what rejects within it for unhandled.
    const failing = () =>
      import("../../infra/index.ts").then(
        () => ({}),
        ({ message }: Error) => ({ message }),
      );
    const { outputs } = await run(failing, { config: { [`keybrake:${name}`]: value } });
    expect(outputs.message).toBe(
      `Configuration \`keybrake:${name}\` is "${value}", which is not ${what}; set it by: ${command}`,
    );
  });
});
