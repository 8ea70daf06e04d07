/**
 * `npm run bundle [-- DIRECTORY]`: the service as a directory that runs by `node main.mjs`, with nothing installed beside it: what
 * a Cloud Run deployment without a build step takes as its archive. Default directory: `service/dist`.
 *
 * Start-up decides its form (Node 24, two cores, 2026-11). Chunks, not one file: what a store or a route does not need is not even
 * read, and the start is a fifth shorter. Not minified: a thirtieth is gained, and stacks in the log are to be read. Without a file
 * of V8's compile cache: it saves 40 ms, but holds for one version of Node on one kind of processor, and Google picks both.
 */
import { readFile, rm } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
/** Paths in the bundle begin here, so that it is the same wherever the clone lies and whoever calls. */
const root = join(here, "..");

/** What CommonJS packages expect to find, in modules that are none. */
export const commonJs = `
import { createRequire as __createRequire } from "node:module";
const require = __createRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;
`.trim();

/** The store's thread is started by its URL, which no bundler follows: it is an entry of its own, with another name. */
const STARTED = 'new URL("./sqlite-thread.ts", import.meta.url)';
const threadByUrl: Plugin = {
  name: "sqlite-thread",
  setup({ onLoad }) {
    onLoad({ filter: /\/stores\/sqlite-worker\.ts$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      return { contents: replaced(text, STARTED, STARTED.replace(".ts", ".mjs"), path), loader: "ts" };
    });
  },
};

/**
 * Node's own modules without their ESM face: making that of `node:http` reads each of its exports, the one that loads a WebSocket
 * client too, which costs more than the module (Node 24.21).
 */
const builtIns: Plugin = {
  name: "built-ins",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /./ }, ({ path, kind }) =>
      isBuiltin(path) && kind !== "dynamic-import" ? { path, namespace: "built-in" } : undefined,
    );
    onLoad({ filter: /./, namespace: "built-in" }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule(${JSON.stringify(path)});`,
    }));
  },
};

/**
 * `import()` of a CommonJS package has the names that Node would find in it. The bundler alone gives a chunk of its own no name but
 * `default` (esbuild 0.28: https://github.com/evanw/esbuild/issues/3245).
 */
export const commonJsNames: Plugin = {
  name: "commonjs-names",
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /^[^./]/ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (kind !== "dynamic-import" || isBuiltin(path) || pluginData === SEEN) return undefined;
      const found = await resolve(path, { kind, importer, resolveDir, pluginData: SEEN });
      if (found.errors.length > 0 || !("module.exports" in (await importFile(found.path)))) return found;
      return { path: relative(root, found.path), namespace: "commonjs-names" };
    });
    onLoad({ filter: /./, namespace: "commonjs-names" }, async (loaded) => {
      const path = join(root, loaded.path);
      const found = Object.keys(await importFile(path));
      const names = found.filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default").join(", ");
      const contents = `import * as all from ${JSON.stringify(path)};\nexport const { ${names} } = all;\nexport default all;`;
      return { contents, resolveDir: dirname(path) };
    });
  },
};

/** Resolving it again must not come back to the plugin. */
const SEEN = Symbol("seen");

const importFile = async (path: string): Promise<object> => (await import(pathToFileURL(path).href)) as object;

/** Of undici a pool is needed, not its fetch, WebSockets and caches, which load with it: 15 ms and 7 MB. */
const POOL = 'import { Pool } from "undici";';
const onlyThePool: Plugin = {
  name: "undici-pool",
  setup({ onLoad }) {
    onLoad({ filter: /\/data\/upstreams\.ts$/ }, async ({ path }) => {
      const contents = replaced(await readFile(path, "utf8"), POOL, POOL.replace("{ Pool }", "Pool"), path);
      return { contents: contents.replace('"undici"', '"undici/lib/dispatcher/pool.js"'), loader: "ts" };
    });
  },
};

interface Nested {
  nested?: Record<string, Nested>;
}

/** The client compiles every message it is given when it starts: the administrator's API, which we never call, is most of them. */
const onlyOurMessages: Plugin = {
  name: "firestore-messages",
  setup({ onLoad }) {
    onLoad({ filter: /firestore-api\/build\/protos\/protos\.json$/ }, async ({ path }) => {
      const protos = JSON.parse(await readFile(path, "utf8")) as Nested;
      const parts = protos.nested?.google?.nested?.firestore?.nested;
      if (!parts?.admin || !parts.v1) throw new Error(`${path} has other parts than it had.`);
      delete parts.admin;
      return { contents: JSON.stringify(protos), loader: "json" };
    });
  },
};

function replaced(text: string, from: string, to: string, path: string): string {
  if (!text.includes(from)) throw new Error(`${path} has no \`${from}\` any more, which the bundle writes anew.`);
  return text.replace(from, to);
}

/**
 * Writes `main.mjs`, `sqlite-thread.mjs` and their chunks. What was in the directory is removed first.
 * @returns the files that it is made of, from the repository's directory on.
 */
export async function bundle(directory: string): Promise<string[]> {
  await rm(directory, { recursive: true, force: true });
  const { metafile } = await build({
    entryPoints: { main: join(here, "main.ts"), "sqlite-thread": join(here, "stores/sqlite-thread.ts") },
    outdir: directory,
    absWorkingDir: root,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    define: { "process.env.NODE_ENV": '"production"' },
    banner: { js: commonJs },
    legalComments: "linked",
    logLevel: "warning",
    metafile: true,
    plugins: [threadByUrl, builtIns, commonJsNames, onlyThePool, onlyOurMessages],
  });
  return Object.keys(metafile.inputs);
}

if (import.meta.main) await bundle(resolve(process.argv[2] ?? join(here, "dist")));
