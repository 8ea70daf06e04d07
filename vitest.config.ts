import { defineConfig } from "vitest/config";
import { emulatorMissing } from "./test/support/emulator.ts";

/** What was shown on the embedded store is shown on Firestore by the same tests. */
const onFirestore = ["test/exact/**/*.test.ts", "test/shield/**/*.test.ts", "test/crash/**/*.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: "forks",
    // Most tests wait for processes that they started: one file at a time, the default on two cores, leaves a core idle.
    maxWorkers: 2,
    globalSetup: "./test/support/emulator-setup.ts",
    reporters: [process.env.CI ? "verbose" : "default", "./test/support/closing-line.ts"],
    projects: [
      { extends: true, test: { name: "embedded", include: ["test/**/*.test.ts"] } },
      ...(emulatorMissing === null
        ? [
            {
              extends: true as const,
              test: { name: "firestore", include: onFirestore, env: { KEYBRAKE_TEST_STORE: "firestore" } },
            },
          ]
        : []),
    ],
  },
});
