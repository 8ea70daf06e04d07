/**
 * Goal: show that the components work in Pulumi's own engine, not only in its mocks (`npm run test:engine`).
 * Method: build the engine if it is not cached, then run test/engine/*.engine.ts.
 * The package must have been built: the script does it before. Without Go, or without its module proxy, nothing runs: the last line says what was not proved, and the exit code is 0.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { EngineMissing, openEngine } from "./engine.ts";

const root = join(import.meta.dirname, "..", "..");
const notProved =
  "up, unchanged up, small diffs, replacement and destroy in the real Pulumi engine; SDKs for Python, Go and Node; mistakes stopping a preview";

try {
  const { root: engine, generator } = await openEngine();
  const vitest = ["run", "--config", join(import.meta.dirname, "vitest.config.ts"), ...process.argv.slice(2)];
  const env = { KEYBRAKE_TEST_ENGINE: engine, KEYBRAKE_TEST_GENERATOR: generator };
  process.exitCode = await program(join(root, "node_modules", ".bin", "vitest"), vitest, env);
} catch (error) {
  if (!(error instanceof EngineMissing)) throw error;
  console.log(`NOT PROVED HERE: ${notProved} (left out: ${error.message})`);
}

async function program(file: string, args: string[], env: Record<string, string>): Promise<number> {
  const child = spawn(file, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  const [code] = await once(child, "exit");
  return typeof code === "number" ? code : 1;
}
