import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: join(import.meta.dirname, "..", ".."),
    include: ["test/engine/**/*.engine.ts"],
    // Each of them starts engines, language runtimes and compilers: one file at a time.
    fileParallelism: false,
    pool: "forks",
    // As Node loads it: the library and the Automation API must share one @pulumi/pulumi.
    server: { deps: { external: [/\/components\/dist\//] } },
    testTimeout: 300_000,
    hookTimeout: 300_000,
    reporters: ["verbose", join(import.meta.dirname, "..", "support", "closing-line.ts")],
  },
});
