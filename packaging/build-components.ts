/**
 * `npm run build:components`: the library alone, as CommonJS in `components/dist`: what its tests and `infra` need. The package has more,
 * see `build-package.ts`.
 */
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundleServiceRules } from "./bundle-service-rules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export async function buildComponents(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await bundleServiceRules(directory);
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", "components", "--outDir", directory], {
    cwd: root,
    stdio: "inherit",
  });
}

if (import.meta.main) await buildComponents(join(root, "components/dist"));
