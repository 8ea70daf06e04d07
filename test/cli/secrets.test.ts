/**
 * Goal: `keybrake secrets set` takes a value from a prompt that shows nothing or from stdin, never from an argument, and neither command prints one.
 * Method: the real executable, also on a real pseudo-terminal (`script` of util-linux), before a loopback Secret Manager. Limit: the loopback is
 * no Google, and Application Default Credentials are looked for only where none are.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type LocalWorld, secretOf, startLocal } from "../secrets/local.ts";
import { nameOf } from "../support/runtimes.ts";
import { type CliResult, runCli } from "./run-cli.ts";
import { runHere } from "./run-here.ts";

const value = "sk_live_CANARY_9Zx3Lm5Vb8";
const project = "test-project";
const stripe = secretOf("stripe");

let world: LocalWorld;
let results: CliResult[];

beforeAll(async () => {
  world = await startLocal();
});
afterAll(() => world?.close());
beforeEach(() => {
  world.local.createSecret(stripe);
  results = [];
});
afterEach(() => {
  world.local.recover();
  for (const { stdout, stderr } of results) expect(stdout + stderr).not.toContain("CANARY");
});

async function cli(args: string[], stdin = "", env: Record<string, string> = {}): Promise<CliResult> {
  const result = await runCli(["secrets", ...args], { env: { KEYBRAKE_GOOGLE_APIS: world.url, ...env }, stdin });
  results.push(result);
  return result;
}

const newest = (secret = stripe): string | undefined => world.local.values(secret).at(-1);

describe("set", () => {
  it("adds what comes from stdin, without its last line end, as a version", async () => {
    const { code, stdout } = await cli(["set", stripe], `${value}\n`);
    expect([code, newest()]).toEqual([0, value]);
    expect(JSON.parse(stdout)).toEqual({ secret: stripe, version: world.local.values(stripe).length });
  });

  it.each<[string, string[], Record<string, string>]>([
    ["a short name and --project", ["set", "stripe", "--project", project], {}],
    ["a short name and GOOGLE_CLOUD_PROJECT", ["set", "stripe"], { GOOGLE_CLOUD_PROJECT: project }],
    [
      "a vendor of KEYBRAKE_VENDORS",
      ["set", "payments"],
      { KEYBRAKE_VENDORS: JSON.stringify({ payments: { secret: stripe } }) },
    ],
  ])("finds the secret by %s", async (_what, args, env) => {
    const own = `${value}${Math.random()}`;
    expect((await cli(args, own, env)).code).toBe(0);
    expect(newest()).toBe(own);
  });

  it("makes the secret with --create only", async () => {
    const other = secretOf("new-one");
    const without = await cli(["set", other], value);
    expect([without.code, without.stderr]).toEqual([1, expect.stringContaining("`keybrake secrets set --create`")]);
    expect((await cli(["set", other, "--create"], value)).code).toBe(0);
    expect((await cli(["set", other, "--create"], `${value}2`)).code).toBe(0);
    expect(world.local.values(other)).toEqual([value, `${value}2`]);
  });

  it.each<[string, string[], string, RegExp]>([
    [
      "a value as an argument",
      ["set", stripe, value],
      "",
      /never an argument.*stdin or at the prompt, and replace the one/,
    ],
    ["a value as an option", ["set", stripe, `--value=${value}`], "", /never an argument/],
    ["a value for the name", ["set", value, "--project", project], "", /may be its value/],
    ["a Twilio credential for the name", ["set", "ACCANARY:CANARY", "--project", project], "", /may be its value/],
    ["nothing", ["set", stripe], "\n", /no value came from stdin/],
    ["a value of 7 characters", ["set", stripe], "CANARY7", /shorter than 8/],
    ["a value over 4096 bytes", ["set", stripe], `CANARY${"x".repeat(4096)}`, /longer than 4096/],
    ["a whole file", ["set", stripe], "CANARY".repeat(20_000), /more than a secret/],
    ["two lines", ["set", stripe], `${value}\n${value}\n`, /visible ASCII.*as one line/],
    ["a name without a project", ["set", "stripe"], value, /give `--project my-project`/],
    ["a project that is none", ["set", "stripe", "--project", "a/b"], value, /no project id/],
  ])("refuses %s with exit code 2, and asks nobody", async (_what, args, stdin, says) => {
    world.local.received.length = 0;
    const { code, stderr } = await cli(args, stdin);
    expect([code, stderr]).toEqual([2, expect.stringMatching(says)]);
    expect(world.local.received).toEqual([]);
  });

  it("says in one sentence what Google refuses", async () => {
    world.local.failNext({ answer: 403 });
    const { code, stderr } = await cli(["set", stripe], value);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^keybrake: projects\/.* add a version; grant it roles\/.*\.\n$/),
    ]);
  });

  it("says how to get credentials when there are none", async () => {
    const nowhere = { KEYBRAKE_GOOGLE_APIS: "", GCE_METADATA_HOST: "127.0.0.1:1", HOME: "/nonexistent" };
    const { code, stderr } = await cli(["set", stripe], value, nowhere);
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^keybrake: .*gcloud auth application-default login.*\n$/),
    ]);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it("sends nothing to a KEYBRAKE_GOOGLE_APIS that is not on loopback", async () => {
    const { code, stderr } = await cli(["set", stripe], value, { KEYBRAKE_GOOGLE_APIS: "https://example.com" });
    expect([code, stderr]).toEqual([2, expect.stringContaining("unset it")]);
  });
});

const noTerminal =
  spawnSync("script", ["--version"]).status === 0
    ? null
    : "`script`, which makes a terminal, is not installed: install util-linux";

/** Types at the prompt once it is there. @returns everything that the terminal showed. */
async function typed(keys: string): Promise<{ code: number | null; shown: string }> {
  const bin = fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url));
  const child = spawn("script", ["-qec", `"${process.execPath}" "${bin}" secrets set ${stripe}`, "/dev/null"], {
    env: { PATH: process.env.PATH, KEYBRAKE_GOOGLE_APIS: world.url, TERM: "xterm" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const asked = shown.includes("not shown");
    shown += chunk.toString();
    if (!asked && shown.includes("not shown")) child.stdin.write(keys);
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, shown };
}

describe.skipIf(noTerminal !== null)(nameOf("the prompt of a terminal", noTerminal), () => {
  it("shows nothing of what is typed, and takes back what is erased", async () => {
    const { code, shown } = await typed(`${value}XY\u007f\u007f\r`);
    expect([code, newest()]).toEqual([0, value]);
    expect(shown).toMatch(/Value of projects\/test-project\/secrets\/stripe \(not shown\)/);
    expect(shown).toMatch(/version +\d/);
    expect(shown).not.toMatch(/CANARY|sk_live/);
  });

  it.each([
    ["Ctrl-C", "\u0003"],
    ["Ctrl-D", "\u0004"],
  ])("ends by %s with exit code 1, and nothing is changed", async (_what, key) => {
    const before = world.local.values(stripe).length;
    const { code, shown } = await typed(key);
    expect([code, world.local.values(stripe).length]).toEqual([1, before]);
    expect(shown).toContain("nothing was changed");
  });
});

describe("list", () => {
  it("tells names and versions, and no value", async () => {
    const other = secretOf("listed");
    world.local.addVersion(other, value);
    world.local.addVersion(other, value);
    world.local.setState(other, 2, "DISABLED");
    const { code, stdout } = await cli(["list", "--project", project]);
    const { secrets } = JSON.parse(stdout) as { secrets: Record<string, unknown>[] };
    expect(code).toBe(0);
    expect(secrets.find(({ secret }) => secret === other)).toEqual({
      secret: other,
      versions_enabled: 1,
      latest: "2 disabled",
      created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
  });

  it("is a table on a terminal", async () => {
    const env = { KEYBRAKE_GOOGLE_APIS: world.url, GOOGLE_CLOUD_PROJECT: project };
    const result = await runHere(["secrets", "list"], { env, terminal: true });
    results.push(result);
    expect(result.stdout).toMatch(/^SECRET +ENABLED +LATEST +CREATED\n/);
    expect(result.stdout).toContain(stripe);
  });
});
