/** Python and Go for the tests that need them: found once, packages pinned, kept in a cache directory outside the tree. */
import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { access, copyFile, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

const INSTALL_TIMEOUT_MS = 300_000;

/** `null` when Go is here, else why what needs it is left out. */
export const goMissing = versionOf("go", ["version"])
  ? null
  : "Go is not installed: install Go ≥ 1.21 (https://go.dev/dl/) and put `go` on the PATH";

/** `null` when Python 3 is here, else why what needs it is left out. */
export const pythonMissing = versionOf("python3", ["-c", "import venv, ensurepip"])
  ? null
  : "Python 3 with venv is not installed: install python3 and python3-venv (https://www.python.org/downloads/)";

for (const missing of [goMissing, pythonMissing]) {
  if (missing !== null) console.warn(`TESTS LEFT OUT: ${missing}.`);
}

/** Test name that says why it is skipped: `name`, or `name (left out: reason)`. */
export function nameOf(name: string, missing: string | null): string {
  return missing === null ? name : `${name} (left out: ${missing})`;
}

function versionOf(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: "ignore", timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

export async function cacheDirectory(): Promise<string> {
  const directory = join(tmpdir(), `keybrake-test-cache-${userInfo().uid}`);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Test files run in several processes: one of them installs, the others wait. A lock older than the install's limit is stale. */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const file = join(await cacheDirectory(), `${name}.lock`);
  for (;;) {
    const lock = await open(file, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return null;
      throw error;
    });
    if (lock) {
      await lock.close();
      break;
    }
    const age = await stat(file).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > INSTALL_TIMEOUT_MS) await rm(file, { force: true });
    await delay(200);
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

/** @returns the interpreter of a virtual environment that has exactly these pinned packages. */
export async function pythonWith(packages: readonly string[]): Promise<string> {
  if (pythonMissing !== null) throw new Error(pythonMissing);
  const name = `venv-${createHash("sha256").update(packages.join(" ")).digest("hex").slice(0, 12)}`;
  const directory = join(await cacheDirectory(), name);
  const python = join(directory, "bin", "python");
  const finished = join(directory, "installed");
  await withLock(name, async () => {
    if (await exists(finished)) return;
    await rm(directory, { recursive: true, force: true });
    const run = promisify(execFile);
    await run("python3", ["-m", "venv", directory], { timeout: INSTALL_TIMEOUT_MS });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages];
    await run(python, pip, { timeout: INSTALL_TIMEOUT_MS });
    await (await open(finished, "w")).close();
  });
  return python;
}

/** @returns a directory that has a project's own packages in `node_modules`: they are none of this repository's. */
export async function packagesOf(projectDirectory: string): Promise<string> {
  const manifest = join(projectDirectory, "package.json");
  const name = `npm-${createHash("sha256")
    .update(await readFile(manifest))
    .digest("hex")
    .slice(0, 12)}`;
  const directory = join(await cacheDirectory(), name);
  const finished = join(directory, "installed");
  await withLock(name, async () => {
    if (await exists(finished)) return;
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory);
    await copyFile(manifest, join(directory, "package.json"));
    const arguments_ = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    await promisify(execFile)("npm", arguments_, { cwd: directory, timeout: INSTALL_TIMEOUT_MS });
    await (await open(finished, "w")).close();
  });
  return directory;
}

/** Builds a Go module of the tests. @returns the program. */
export async function goProgram(moduleDirectory: string, name: string): Promise<string> {
  if (goMissing !== null) throw new Error(goMissing);
  const output = join(await cacheDirectory(), `go-${name}`);
  await withLock(`go-${name}`, async () => {
    const building = `${output}.${process.pid}`;
    await promisify(execFile)("go", ["build", "-o", building, "."], {
      cwd: moduleDirectory,
      timeout: INSTALL_TIMEOUT_MS,
    });
    await rename(building, output);
  });
  return output;
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
