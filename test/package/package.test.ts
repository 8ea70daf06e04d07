/**
 * Goal: `keybrake-gcp` as it would be published has all that it needs and nothing else, can be imported by every kind of program, and
 * the service and the command line inside it run with nothing installed beside them.
 * Method: `npm pack`; the tarball is read, and judged by publint and arethetypeswrong; its archive and its files run in directories of
 * their own, where no package is near.
 * Limit: this machine's Node and npm. The archive's bytes also depend on Node's zlib: it is built once, when a version is published.
 */
import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core";
import { publint } from "publint";
import { extract } from "tar";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeServiceArchive } from "../../packaging/service-archive.ts";
import { read, root } from "../readme/markdown.ts";
import { recordedModules, recordModules } from "../service/loaded-modules.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { type Packed, pack } from "./packed.ts";
import { runProgram } from "./run-program.ts";

const MAX_BYTES = 6 << 20;

const compiled = [".js", ".js.map", ".d.ts", ".d.ts.map"];
const sources = readdirSync(join(root, "components"))
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
  .map((name) => name.replace(/\.ts$/, ""));

let home: string;
let packed: Packed;
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "keybrake-package-"));
  packed = await pack(home);
}, 300_000);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const file = (path: string): string => join(packed.directory, path);
const manifest = (): { version: string } => JSON.parse(readFileSync(file("package.json"), "utf8"));
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

describe("what is in it", () => {
  it("is what was reviewed, and not big", async () => {
    const ofSources = new Set(
      sources.flatMap((name) => [`${name}.ts`, ...compiled.map((end) => `dist/${name}${end}`)]),
    );
    // Chunks are named by their content: a reviewer reads what they are of.
    const others = packed.files
      .filter((path) => !ofSources.has(path))
      .map((path) => path.replace(/-[A-Z0-9]{8}(?=\.mjs)/, "-*"));
    await expect(`${[...new Set(others)].join("\n")}\n`).toMatchFileSnapshot("contents.txt");
    expect(packed.bytes).toBeLessThan(MAX_BYTES);
  });

  it("is each source of the library, and what it is compiled to, with its types and their way back to the source", () => {
    expect(sources).toEqual(expect.arrayContaining(["index", "proxy", "budgeted-job", "key-issuer", "vendor-secret"]));
    for (const name of sources) {
      for (const path of [`${name}.ts`, ...compiled.map((end) => `dist/${name}${end}`)])
        expect(packed.files).toContain(path);
      const map = JSON.parse(readFileSync(file(`dist/${name}.d.ts.map`), "utf8")) as { sources: string[] };
      expect(map.sources).toEqual([`../${name}.ts`]);
    }
  });

  it("names no place of the machine that built it, and no key", () => {
    for (const path of packed.files) {
      const text = readFileSync(file(path), "latin1");
      expect([path, text.includes(root)]).toEqual([path, false]);
      expect([
        path,
        /\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{8,}|\bvk_\d+_[\w-]{20,}|BEGIN [A-Z ]*PRIVATE KEY-----\\?n[A-Za-z0-9+/]{20}/.exec(
          text,
        )?.[0],
      ]).toEqual([path, undefined]);
    }
  });

  it("holds the service's own files, unchanged", () => {
    for (const path of ["service/exec/keybrake_exec.py", "service/policies/policy.schema.json"]) {
      expect(readFileSync(file(`dist/${path.replace(/.*\//, "")}`), "utf8")).toBe(read(path));
    }
    expect(readFileSync(file("LICENSE"), "utf8")).toBe(read("LICENSE"));
    expect(manifest().version).toBe((JSON.parse(read("service/package.json")) as { version: string }).version);
  });

  it("carries the license of each package whose code it holds", () => {
    const licenses = readFileSync(file("dist/THIRD-PARTY-LICENSES.txt"), "utf8");
    const listed = new Set([...licenses.matchAll(/^(\S+) \d+\.\d+\.\d+\S*: \S/gm)].map(([, name]) => name));
    const held = new Set<string>();
    for (const path of packed.files.filter((each) => /\.(?:mjs|js)$/.test(each))) {
      // The bundler says before each module which file it was.
      const modules = /^\s*\/\/ (?:[\w-]+:)?\S*node_modules\/((?:@[^/\s]+\/)?[^/\s]+)\//gm;
      for (const [, name] of readFileSync(file(path), "utf8").matchAll(modules)) held.add(name!);
    }
    expect(held.size).toBeGreaterThan(50);
    expect([...held].filter((name) => !listed.has(name))).toEqual([]);
  });

  it("has nothing that publint warns of", async () => {
    const { messages } = await publint({ pkgDir: packed.directory, level: "warning", strict: true });
    expect(messages).toEqual([]);
  });

  it("has types that are right for CommonJS, ESM and bundlers", async () => {
    const checked = await checkPackage(createPackageFromTarballData(new Uint8Array(readFileSync(packed.tarball))));
    expect(checked).toMatchObject({ types: { kind: "included" } });
    expect("problems" in checked ? checked.problems : null).toEqual([]);
  });
});

describe("the service archive", () => {
  it("is the same, byte for byte, whenever and by whomever it is built", async () => {
    const again = join(home, "again");
    const built = await runProgram(process.execPath, [join(root, "service/bundle.ts"), again], { cwd: home });
    expect(built).toMatchObject({ code: 0 });
    for (const name of readdirSync(again)) {
      chmodSync(join(again, name), 0o600);
      utimesSync(join(again, name), 1, 1);
    }
    await writeServiceArchive(again, join(home, "again.tar.gz"));
    // When these differ after a change of the service, the package is old: `npm run build:package`.
    expect(sha256(join(home, "again.tar.gz"))).toBe(sha256(file("dist/service.tar.gz")));
  });

  it("starts by `node main.mjs` with nothing installed, and ends at SIGTERM", { timeout: 60_000 }, async () => {
    const directory = join(home, "workspace");
    mkdirSync(directory);
    await extract({ file: file("dist/service.tar.gz"), cwd: directory });
    await serves(() => [join(directory, "main.mjs")]);
  });
});

/** It listens, keeps a key, drains. */
async function serves(entry: () => string[]): Promise<void> {
  const upstream = { url: "http://127.0.0.1:9", secret: "sk_test_0123456789" };
  const proxy: RunningProxy = await startProxy({ vendors: { stripe: upstream }, entry });
  try {
    const { keyId } = await proxy.issue({
      vendor: "stripe",
      usd_cap: "5.00",
      allowed_endpoints: ["*"],
      label: "package",
    });
    expect(await proxy.key(keyId)).toMatchObject({ cap_usd: "5.00" });
    expect(await proxy.terminate()).toBe(0);
  } finally {
    await proxy.stop();
  }
}

describe("the command line", () => {
  let cli: string;
  beforeAll(() => {
    // Without the package's dependencies: an unpacked tarball has none.
    cpSync(file("dist"), join(home, "alone"), { recursive: true });
    cli = join(home, "alone/cli/keybrake.mjs");
  });

  it("says its version", async () => {
    expect(await runProgram(process.execPath, [cli, "--version"])).toEqual({
      code: 0,
      stdout: `${manifest().version}\n`,
      stderr: "",
    });
  });

  it("prices a call offline", async () => {
    const quote = ["quote", "--vendor", "stripe", "--", "POST", "/v1/payment_intents", "amount=4000", "currency=usd"];
    const { code, stdout } = await runProgram(process.execPath, [cli, ...quote]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ reserve_usd: "40.00" });
  });

  it("refuses wrong usage in one sentence", async () => {
    expect(await runProgram(process.execPath, [cli, "keys", "isue"])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^keybrake: [^\n]+\n$/),
    });
  });

  it("says how to use exec", async () => {
    const help = await runProgram(process.execPath, [cli, "exec", "--help"]);
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("$ keybrake exec -- node billing-task.js") });
  });

  it("reads for exec nothing of the other commands", async () => {
    const modules = join(home, "modules");
    const args = [...recordModules(modules), cli, "exec", "--", "true"];
    const ended = await runProgram(process.execPath, args);
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^keybrake exec: KEYBRAKE_URL is not set/) });
    const files = recordedModules(modules).filter((url) => url.startsWith("file:"));
    // The third one is the bundler's own.
    expect(files.map((url) => url.replace(/.*\/|-[A-Z0-9]{8}/g, ""))).toEqual([
      "keybrake.mjs",
      "exec.mjs",
      "chunk.mjs",
    ]);
    const bytes = files.reduce((sum, url) => sum + statSync(new URL(url)).size, 0);
    expect(bytes).toBeLessThan(24 << 10);
  });

  it("serves, by the very service that is deployed", { timeout: 60_000 }, () => serves(() => [cli, "serve"]));

  it.each([
    ["node", "keybrake_exec.mjs"],
    ["python3", "keybrake_exec.py"],
  ])("has exec as one file: %s %s", async (program, name) => {
    const copy = join(mkdtempSync(join(home, "one-file-")), name);
    cpSync(join(home, "alone", name), copy);
    const command = program === "node" ? process.execPath : program;
    expect(await runProgram(command, [copy, "--", "true"])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^keybrake exec: KEYBRAKE_URL is not set/),
    });
  });
});
