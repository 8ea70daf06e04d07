/**
 * Goal: the embedded store keeps the contract. Method: the contract suite, on a file and in memory, in this thread and in a worker.
 * Limit: no process is killed here, and no power is lost.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import { storeContract } from "./contract.ts";
import { START } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "keybrake-store-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

for (const worker of [false, true]) {
  for (const place of ["file", "memory"] as const) {
    storeContract(`sqlite ${place}, ${worker ? "in a worker thread" : "in this thread"}`, async () => {
      files += 1;
      let now = START;
      const path = place === "file" ? join(folder, `${files}.db`) : ":memory:";
      const store = await openSqliteStore({ path, worker, clock: { now: () => now } });
      return {
        store,
        setTime: (ms) => {
          now = ms;
        },
      };
    });
  }
}
