/** The Pulumi engine, built from the Go module proxy at a pinned version, kept in a cache directory outside the tree. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

/** The newest tag that the module proxy serves; it is pinned in go/go.mod too. Newer SDKs from npm and PyPI speak to it. */
export const engineVersion = "3.259.0";

const moduleDirectory = join(import.meta.dirname, "go");
const pulumi = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi";
const versionFlag = `-X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v${engineVersion}`;
const run = promisify(execFile);
const BUILD_LIMIT_MS = 40 * 60_000;

/** What this machine lacks; anything else that goes wrong is a failure. */
export class EngineMissing extends Error {}

export interface Engine {
  /** `bin/pulumi` is in it. */
  root: string;
  /** The generator of SDKs, go/generate. */
  generator: string;
}

/** Both are built when they are not cached: some eight minutes on two cores. */
export async function openEngine(): Promise<Engine> {
  const root = join(cacheRoot(), `pulumi-${engineVersion}`);
  const source = await readFile(join(moduleDirectory, "generate", "main.go"));
  const generator = join(root, "bin", `generate-${createHash("sha256").update(source).digest("hex").slice(0, 12)}`);
  const program = join(root, "bin", "pulumi");
  const missing = await Promise.all([program, generator].map(async (file) => !(await exists(file))));
  if (missing.includes(true)) {
    await haveSources();
    await mkdir(join(root, "bin"), { recursive: true });
  }
  if (missing[0]) {
    console.log(
      `Building the Pulumi engine ${engineVersion} from its Go module, once, into ${root}: about eight minutes.`,
    );
    await build(program, ["-trimpath", "-ldflags", `-w -s ${versionFlag}`], pulumi);
  }
  if (missing[1]) await build(generator, [], "./generate");
  return { root, generator };
}

/** Nobody finds half a program. */
async function build(program: string, flags: string[], source: string): Promise<void> {
  const building = `${program}.${process.pid}`;
  await go(["build", "-p", "2", ...flags, "-o", building, source]);
  await rename(building, program);
}

/** Finds the sources of all packages, downloads what is missing: what fails here is the machine's, not ours. */
async function haveSources(): Promise<void> {
  try {
    await go(["list", "-deps", pulumi, "./generate"]);
  } catch (error) {
    const text = error instanceof Error ? error.message.trim().split("\n").at(-1) : String(error);
    throw new EngineMissing(
      text?.includes("ENOENT")
        ? "Go is not installed (https://go.dev/dl/)"
        : `Go cannot get the engine's sources: ${text}`,
    );
  }
}

/** At the lowest priority: a build must not starve the tests beside it. */
async function go(args: string[]): Promise<void> {
  const env = { ...process.env, GOFLAGS: "-mod=readonly -buildvcs=false" };
  const limits = { cwd: moduleDirectory, env, timeout: BUILD_LIMIT_MS, maxBuffer: 64 * 1024 * 1024 };
  await run("go", ["version"], limits);
  await run("nice", ["-n", "19", "go", ...args], limits);
}

function cacheRoot(): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "keybrake-tests");
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
