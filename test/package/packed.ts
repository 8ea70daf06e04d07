/** The npm package as it would be published: built if need be, packed, and unpacked. */
import { execFile } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { extract } from "tar";
import { packPackage } from "../../packaging/pack-package.ts";
import { root } from "../readme/markdown.ts";

const run = promisify(execFile);
const LONG_MS = 240_000;

export interface Packed {
  tarball: string;
  /** The tarball's content. */
  directory: string;
  /** Paths in it, sorted. */
  files: string[];
  bytes: number;
}

/** `npm test` builds the package before the tests; a test that is started alone finds the last build, or makes one. */
export async function pack(into: string): Promise<Packed> {
  const needed = ["service.tar.gz", "index.js"].map((name) => join(root, "components/dist", name));
  if (!needed.every((file) => existsSync(file))) {
    await run(process.execPath, [join(root, "packaging/build-package.ts")], { timeout: LONG_MS });
  }
  const tarball = await packPackage(into);
  const unpacked = join(into, "unpacked");
  await mkdir(unpacked);
  await extract({ file: tarball, cwd: unpacked });
  const directory = join(unpacked, "package");
  const entries = readdirSync(directory, { recursive: true, encoding: "utf8" });
  const files = entries.filter((path) => statSync(join(directory, path)).isFile()).sort();
  return { tarball, directory, files, bytes: statSync(tarball).size };
}

/** Installs it into an empty project, from the registry what it depends on. @returns the project. */
export async function installPackage({ tarball }: Packed, project: string): Promise<string> {
  await mkdir(project);
  const install = ["install", tarball, "--no-audit", "--no-fund", "--loglevel=error"];
  await run("npm", ["init", "--yes"], { cwd: project, timeout: 60_000 });
  await run("npm", install, { cwd: project, timeout: LONG_MS });
  return project;
}
