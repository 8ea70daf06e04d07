/** The service's own rules as one CommonJS module: what the components check at preview, the proxy checks by the same code. */
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Writes `service-rules.js`, and its types, which the library's declarations name. */
export async function bundleServiceRules(directory: string): Promise<void> {
  await build({
    entryPoints: ["service/for-components.ts"],
    absWorkingDir: root,
    outfile: join(directory, "service-rules.js"),
    bundle: true,
    format: "cjs",
    platform: "node",
    target: "node22",
    footer: { js: "module.exports = module.exports.default;" },
    legalComments: "linked",
    logLevel: "warning",
  });
  await copyFile(join(root, "components/service-rules.d.ts"), join(directory, "service-rules.d.ts"));
}
