/**
 * `npm run pack:package [-- DIRECTORY]`: builds `keybrake-gcp` and writes its tarball, the one to publish, into the directory (default:
 * this one).
 *
 * Its manifest is not quite the workspace's: what `publishConfig` says holds. With a `bin` in the workspace npm would link `keybrake` to
 * what is not built yet, in place of the service's own (npm 11: of two workspaces' commands of one name, the first path's wins).
 */
import { execFileSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPackage } from "./build-package.ts";

const components = fileURLToPath(new URL("../components", import.meta.url));

/** Packs what was built last. @returns the tarball. */
export async function packPackage(into: string): Promise<string> {
  const staged = await mkdtemp(join(tmpdir(), "keybrake-gcp-"));
  try {
    const published = (path: string): boolean => !/^(?:node_modules|\..+)$/.test(basename(path));
    await cp(components, staged, { recursive: true, filter: published });
    const file = join(staged, "package.json");
    const { private: _, publishConfig, ...manifest } = JSON.parse(await readFile(file, "utf8")) as Manifest;
    await writeFile(file, `${JSON.stringify({ ...manifest, ...publishConfig }, null, 2)}\n`);
    const pack = ["pack", staged, "--pack-destination", into, "--silent"];
    return join(into, execFileSync("npm", pack, { cwd: into, encoding: "utf8" }).trim());
  } finally {
    await rm(staged, { recursive: true, force: true });
  }
}

interface Manifest {
  private?: boolean;
  publishConfig?: Record<string, unknown>;
}

if (import.meta.main) {
  await buildPackage();
  console.log(await packPackage(resolve(process.argv[2] ?? ".")));
}
