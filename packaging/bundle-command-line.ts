/**
 * The command line as files that Node runs with nothing installed beside them. One chunk for each command, so that `exec`, which
 * stands before every task, reads nothing of the others. `serve` runs the bundled service of the directory beside it.
 */
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "esbuild";
import { commonJs, commonJsNames } from "../service/bundle.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The service that `keybrake serve` runs is the very one that is deployed. */
const bundledService: Plugin = {
  name: "bundled-service",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\.\/\.\.\/main\.ts$/ }, () => ({ path: "../service/main.mjs", external: true }));
  },
};

const options = {
  absWorkingDir: root,
  outExtension: { ".js": ".mjs" },
  bundle: true,
  format: "esm",
  platform: "node",
  // `exec` stands in images of others, with their Node.
  target: "node18",
  legalComments: "linked",
  logLevel: "warning",
} as const;

/**
 * Writes `keybrake.mjs` and its chunks; it expects the bundled service in `../service`.
 * @returns the files that it is made of, from the repository's directory on.
 */
export async function bundleCommandLine(directory: string): Promise<string[]> {
  const { metafile } = await build({
    ...options,
    entryPoints: { keybrake: "service/cli/bin.js" },
    outdir: directory,
    splitting: true,
    banner: { js: commonJs },
    metafile: true,
    plugins: [bundledService, commonJsNames],
  });
  return Object.keys(metafile.inputs);
}

/** Writes `keybrake_exec.mjs`: `keybrake exec` as one file to copy into an image that has Node. */
export async function bundleExec(directory: string): Promise<void> {
  await build({
    ...options,
    stdin: {
      contents: 'import { exec } from "./exec.js";\nawait exec(process.argv.slice(2));',
      resolveDir: fileURLToPath(new URL("../service/cli/exec", import.meta.url)),
      sourcefile: "keybrake_exec.js",
    },
    outfile: `${directory}/keybrake_exec.mjs`,
  });
}
