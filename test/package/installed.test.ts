/**
 * Goal: who installs the package from its tarball into an empty project can import it from CommonJS and ESM, type-checks under every module
 * resolution of today, runs the command line by its name, and Pulumi can read the schema for other languages from what is installed.
 * Method: `npm install` of the tarball, with its dependencies from the registry; the example program as CommonJS and as ESM.
 * Limit: npm; no program is run by the Pulumi engine here.
 */
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../readme/markdown.ts";
import { typeCheck } from "../support/type-check.ts";
import { installPackage, pack } from "./packed.ts";
import { runProgram } from "./run-program.ts";

const classes = ["BudgetedJob", "KeyIssuer", "KeybrakeProxy", "VendorSecret"];
const program = join(root, "examples/pulumi-typescript/index.ts");

let home: string;
let project: string;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "keybrake-installed-"));
  project = await installPackage(await pack(home), join(home, "project"));
}, 500_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe.each([
  ["commonjs", "node16", "node16"],
  ["module", "node16", "node16"],
  ["commonjs", "preserve", "bundler"],
  ["module", "preserve", "bundler"],
])("a %s program under --module %s --moduleResolution %s", (type, module, resolution) => {
  it("type-checks, and a wrong prop of it does not", { timeout: 300_000 }, async () => {
    const directory = join(project, `${type}-${resolution}`);
    mkdirSync(directory);
    writeFileSync(join(directory, "package.json"), JSON.stringify({ type }));
    copyFileSync(program, join(directory, "index.ts"));
    const wrong = readFileSync(program, "utf8").replace("usdCap: 2000", 'usdCap: "a lot"');
    const options = ["--strict", "--target", "es2022", "--module", module, "--moduleResolution", resolution];
    writeFileSync(join(directory, "wrong.ts"), wrong);
    const said = await typeCheck(directory, ...options, "--types", "node", "index.ts", "wrong.ts");
    expect(said).toMatch(/^wrong\.ts\(\d+,\d+\): error TS2322: Type 'string' is not assignable/);
    expect(said).not.toContain("index.ts");
  });
});

describe("an installed package", () => {
  const names =
    "console.log(JSON.stringify(Object.keys(keybrake).filter((name) => /^[A-Z]/.test(name) && keybrake[name].prototype)))";

  it.each([
    ["require", "names.cjs", `const keybrake = require("keybrake-gcp"); ${names}`],
    ["import", "names.mjs", `import * as keybrake from "keybrake-gcp"; ${names}`],
  ])("gives its components to %s", async (_how, file, text) => {
    writeFileSync(join(project, file), text);
    const ended = await runProgram(process.execPath, [join(project, file)]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(ended.stdout)).toEqual(expect.arrayContaining(classes));
  });

  it("has the command line under its name", async () => {
    const bin = join(project, "node_modules/.bin/keybrake");
    expect(await runProgram(bin, ["--version"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    });
    expect(await runProgram(bin, ["exec", "--help"])).toMatchObject({ code: 0, stderr: "" });
  });

  it("lets Pulumi read from its sources the schema that it carries", { timeout: 300_000 }, async () => {
    const installed = join(project, "node_modules/keybrake-gcp");
    writeFileSync(join(project, "schema.cjs"), readSchema);
    const ended = await runProgram(process.execPath, [join(project, "schema.cjs"), installed]);
    expect(ended).toMatchObject({ code: 0, stderr: "" });
    const golden = JSON.parse(readFileSync(join(installed, "schema.json"), "utf8")) as unknown;
    expect(JSON.parse(ended.stdout)).toEqual(golden);
    expect(existsSync(join(installed, "PulumiPlugin.yaml"))).toBe(true);
  });
});

/** As Pulumi's language host does with a plugin that is a directory of sources. */
const readSchema = `
const { ComponentProvider, getPulumiComponents } = require("@pulumi/pulumi/provider/experimental/provider");
const dirname = process.argv[2];
const { name } = require(dirname + "/package.json");
const provider = new ComponentProvider({ name, dirname, components: getPulumiComponents(require(dirname)) });
provider.getSchema().then((schema) => process.stdout.write(schema));
`;
