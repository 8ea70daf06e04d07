/**
 * Goal: when the store's thread ends by itself, nobody is told more than is known, and nobody waits for ever. Method:
 * the real thread is terminated while commits and reads are on their way. Limit: whether one of them applied is chance;
 * both must be answered alike.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import { afterAll, expect, test, vi } from "vitest";
import { systemClock } from "../../service/clock.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import { StoreUnavailable } from "../../service/stores/store.ts";
import { KeyWriter } from "./samples.ts";

const threads: Worker[] = vi.hoisted(() => []);
vi.mock("node:worker_threads", async (original) => {
  const real = await original<typeof import("node:worker_threads")>();
  class SeenWorker extends real.Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      threads.push(this);
    }
  }
  return { ...real, Worker: SeenWorker };
});

const folder = mkdtempSync(join(tmpdir(), "keybrake-thread-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("a thread that ends leaves commits in doubt and all else unavailable; the file can be opened again", async () => {
  const path = join(folder, "ended.db");
  const store = await openSqliteStore({ path, worker: true, clock: systemClock });
  const key = new KeyWriter(store, "k1");
  await key.write();
  const commits = ["k1", "k2", "k3"].map((id) => store.commit(id, new KeyWriter(store, id).next([])));
  const reads = [store.read("k1", []), store.listCalls({}, 10, null), store.setting("x")];
  await threads.at(-1)?.terminate();
  expect(await Promise.all(commits)).toEqual([{ kind: "doubt" }, { kind: "doubt" }, { kind: "doubt" }]);
  for (const read of reads) await expect(read).rejects.toThrow(StoreUnavailable);
  await expect(store.commit("k1", key.next([]))).rejects.toThrow(/thread has ended: restart the proxy/);
  await store.close();

  const again = await openSqliteStore({ path, worker: true, clock: systemClock });
  expect((await again.read("k1", []))?.state).toEqual(key.state);
  await again.close();
});
