/**
 * Goal: the library works from every language of Pulumi. The schema that the engine gets from the plugin is the golden one,
 * the generators make SDKs of it, the example of each language fits its SDK, and the Python one goes through the engine.
 * Method: a shim on the PATH starts the library as `runtime: nodejs` does, by @pulumi/pulumi's own `run-plugin`; Pulumi's
 * generators of pkg/v3/codegen, in a small Go program, write the SDKs; mypy, go vet and tsc check the programs.
 * Limit: no language host is here (pulumi-language-python and the like), so `pulumi package add`, which calls the same
 * generators through them, and the hosts of YAML, .NET and Java are not run.
 */
import { execFile } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { goMissing, nameOf, pythonMissing, pythonWith } from "../support/runtimes.ts";
import { type Bench, openBench } from "./bench.ts";

const run = promisify(execFile);
const root = join(import.meta.dirname, "..", "..");
const programs = join(import.meta.dirname, "programs");
const golden = join(root, "components", "schema.json");
/** The SDK of the components' own version, what a generated SDK needs beside it, and a type checker. */
const pythonPackages = ["pulumi==3.270.0", "parver==1.0.1.post0", "setuptools==84.2.1", "mypy==2.4.1"];

let directory: string;
let shims: string;
let bench: Bench;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keybrake-languages-"));
  shims = join(directory, "shims");
  await mkdir(shims);
  const host = join(root, "node_modules", "@pulumi", "pulumi", "cmd", "run-plugin");
  const shim = join(shims, "pulumi-resource-keybrake-gcp");
  await writeFile(shim, `#!/bin/sh\nexec "${process.execPath}" "${host}" "${join(root, "components")}" "$@"\n`);
  await chmod(shim, 0o755);
  bench = await openBench({ path: [shims] });
  await run(process.env.KEYBRAKE_TEST_GENERATOR ?? "", [golden, directory]);
});
afterAll(async () => {
  await bench.close();
  await rm(directory, { recursive: true, force: true });
});

describe("the schema", () => {
  test("that the engine gets from the plugin is the golden one", async () => {
    const shown = async (source: string) => JSON.parse(await bench.type(["package", "get-schema", source]));
    const ours = await shown(join(shims, "pulumi-resource-keybrake-gcp"));
    expect(ours).toEqual(await shown(golden));
    const components = ["BudgetedJob", "KeyIssuer", "KeybrakeProxy", "VendorSecret"];
    expect(Object.keys(ours.resources).sort()).toEqual(components.map((name) => `keybrake-gcp:index:${name}`));
  });
});

describe(nameOf("Python", pythonMissing), { skip: pythonMissing !== null }, () => {
  const example = join(root, "examples", "pulumi-python", "__main__.py");

  /** `proxy=keybrake.reference` alone is given up: Pulumi's generator makes two classes of it, one that is got and one that is given. */
  const typed = async (edit: (text: string) => string) => {
    const program = join(directory, "typed.py");
    const text = (await readFile(example, "utf8")).replace(
      "proxy=keybrake.reference",
      "proxy=cast(Any, keybrake.reference)",
    );
    await writeFile(program, edit(`from typing import Any, cast\n${text}`));
    const python = await pythonWith(pythonPackages);
    const env = { ...process.env, MYPYPATH: join(directory, "python") };
    return run(python, ["-m", "mypy", "--follow-imports=silent", program], { cwd: directory, env });
  };

  test("the example fits the generated SDK, and one with a misspelt budget does not", async () => {
    await typed((text) => text);
    const wrong = typed((text) => text.replace('"usd_cap"', '"usd_capp"'));
    await expect(wrong).rejects.toMatchObject({
      stdout: expect.stringContaining('No overload variant of "BudgetedJob"'),
    });
  });

  test("the example goes up in the engine, with the library as a remote component, and stays as it is", async () => {
    const python = await pythonWith(pythonPackages);
    const site = join(directory, "site");
    const pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", site];
    await run(python, [...pip, join(directory, "python")]);
    const { stdout } = await run(python, [join(programs, "up.py"), bench.engine, example], {
      env: { ...bench.environment, PYTHONPATH: site, PYTHONDONTWRITEBYTECODE: "1" },
      cwd: directory,
    });
    const { outputs, first, second, resources } = JSON.parse(stdout);
    expect(outputs.launchUrl).toBe(`${outputs.url}/jobs/billing/executions`);
    expect(Object.keys(first)).toEqual(["create"]);
    expect(Object.keys(second)).toEqual(["same"]);
    expect(
      resources.filter((urn: string) => urn.includes("keybrake-gcp:index:BudgetedJob$gcp:")).length,
    ).toBeGreaterThan(5);
  });
});

describe(nameOf("Go", goMissing), { skip: goMissing !== null }, () => {
  test("a program fits the generated SDK, and one with a misspelt field does not", async () => {
    // The import path that the generator gives a package without a repository.
    const module = "example.com/pulumi-keybrake-gcp/sdk/go/keybrake-gcp";
    const sdk = join(directory, "go", "keybrakegcp");
    const ours = await readFile(join(import.meta.dirname, "go", "go.mod"), "utf8");
    await writeFile(join(sdk, "go.mod"), ours.replace(/^module .*$/m, `module ${module}`).replace(/^tool .*$/m, ""));
    await cp(join(import.meta.dirname, "go", "go.sum"), join(sdk, "go.sum"));
    await mkdir(join(sdk, "program"));
    const text = await readFile(join(programs, "go", "main.go"), "utf8");
    const vet = async (program: string) => {
      await writeFile(join(sdk, "program", "main.go"), program);
      const env = { ...process.env, GOPROXY: "off" };
      return run("nice", ["-n", "10", "go", "vet", "-mod=mod", "./program"], { cwd: sdk, env });
    };
    await vet(text);
    await expect(vet(text.replace("UsdCap:", "UsdCapp:"))).rejects.toThrow(/UsdCapp/);
  });
});

describe("TypeScript", () => {
  test("the example fits the generated SDK too, and one with a misspelt prop does not", async () => {
    await symlink(join(root, "node_modules"), join(directory, "node_modules"));
    const options = {
      ...{ strict: true, noEmit: true, skipLibCheck: true, types: ["node"], target: "es2022" },
      ...{ module: "preserve", moduleResolution: "bundler", paths: { "keybrake-gcp": ["./nodejs/index.ts"] } },
    };
    await writeFile(
      join(directory, "tsconfig.json"),
      JSON.stringify({ compilerOptions: options, files: ["program.ts"] }),
    );
    const text = await readFile(join(root, "examples", "pulumi-typescript", "index.ts"), "utf8");
    const check = async (program: string) => {
      await writeFile(join(directory, "program.ts"), program);
      const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
      return run(process.execPath, [compiler, "-p", "."], { cwd: directory });
    };
    await check(text);
    await expect(check(text.replace("usdCap:", "usdCapp:"))).rejects.toMatchObject({
      stdout: expect.stringContaining("usdCapp"),
    });
  });
});
