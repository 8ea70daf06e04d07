/**
 * `npm run build:package`: all that the npm package `keybrake-gcp` has beside its sources, into `components/dist`. From there
 * `npm pack ./components` makes the package.
 */
import { copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "../service/bundle.ts";
import { buildComponents } from "./build-components.ts";
import { bundleCommandLine, bundleExec } from "./bundle-command-line.ts";
import { licensesText } from "./licenses.ts";
import { SERVICE_ARCHIVE, writeServiceArchive } from "./service-archive.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const components = join(root, "components");

/** What the package has as the service has it. */
const copied = ["exec/keybrake_exec.py", "policies/policy.schema.json"];

/** Writes `dist` anew; the old one stays until the new one is there. */
export async function buildPackage(): Promise<void> {
  const dist = join(components, "dist");
  // Beside it: the maps name the sources by their way from here.
  const [made, old] = [join(components, `.dist-${process.pid}`), join(components, `.dist-${process.pid}-old`)];
  try {
    await mkdir(made);
    const [service, commandLine] = await Promise.all([
      bundle(join(made, "service")),
      bundleCommandLine(join(made, "cli")),
      bundleExec(made),
    ]);
    await writeServiceArchive(join(made, "service"), join(made, SERVICE_ARCHIVE));
    await writeFile(join(made, "THIRD-PARTY-LICENSES.txt"), await licensesText(root, [...service, ...commandLine]));
    for (const file of copied)
      await copyFile(new URL(`../service/${file}`, import.meta.url), join(made, basename(file)));
    await buildComponents(made);
    await rename(dist, old).catch(ifThere);
    await rename(made, dist);
  } finally {
    for (const directory of [made, old]) await rm(directory, { recursive: true, force: true });
  }
}

function ifThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
}

if (import.meta.main) await buildPackage();
