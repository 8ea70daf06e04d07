/**
 * Goal: what was acknowledged is there after any end of the process, whole, and nothing is there by half. Method: a
 * child process commits and says what was acknowledged; it is killed with SIGKILL at a seeded moment, or meets a full
 * disk (`ulimit -f` lets the writes of the real file fail); then its file is opened and compared. Limit: the kernel
 * lives on, so this says nothing about power loss, where `synchronous = FULL` has to be believed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock } from "../../service/clock.ts";
import type { DocId } from "../../service/ledger/types.ts";
import { seededFloat } from "../../service/stores/faults.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import type { Store } from "../../service/stores/store.ts";
import { CALLS_PER_COMMIT, committedCall } from "./committed.ts";

const KEYS = 3;
const folder = mkdtempSync(join(tmpdir(), "keybrake-crash-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Line {
  keyId: string;
  sequence?: number;
  failed?: true;
  unavailable?: boolean;
  message?: string;
  cause?: string | null;
  sequenceAfter?: number;
}

const script = join(import.meta.dirname, "committing-child.ts");

/** Runs until the child has ended; `onLine` may kill it. @returns all it said. */
async function run(child: ChildProcess, onLine: (lines: Line[]) => void): Promise<Line[]> {
  const lines: Line[] = [];
  const complaints: string[] = [];
  child.stderr?.on("data", (chunk) => complaints.push(String(chunk)));
  const reader = createInterface({ input: child.stdout! });
  reader.on("line", (line) => {
    lines.push(JSON.parse(line) as Line);
    onLine(lines);
  });
  await Promise.all([once(child, "close"), once(reader, "close")]);
  expect(complaints.filter((each) => !each.includes("Warning"))).toEqual([]);
  return lines;
}

function acknowledged(lines: readonly Line[], keyId: string): number {
  return lines.findLast((line) => line.keyId === keyId && line.sequence !== undefined)?.sequence ?? 0;
}

/** Exactly the commits 1 to s of the key are there, each whole. @returns s. */
async function checkWhole(store: Store, keyId: string): Promise<number> {
  const sequence = (await store.read(keyId, []))?.state.sequence ?? 0;
  const ns = Array.from({ length: CALLS_PER_COMMIT }, (_, n) => n);
  const calls = await store.listCalls({ keyIds: [keyId] }, 10_000, null);
  expect(calls.cursor).toBeNull();
  const expected = Array.from({ length: sequence }, (_, index) => index + 1).flatMap((each) =>
    ns.map((n) => committedCall(keyId, each, n, each === sequence ? "reserved" : "settled")),
  );
  expect(calls.items.reverse()).toEqual(expected);
  const receipts = await store.read(
    keyId,
    expected.map((call): DocId => `r:${call.id}`),
  );
  expect(receipts?.docs.size ?? 0).toBe(Math.max(0, sequence - 1) * CALLS_PER_COMMIT);
  const pages = await store.listPages(keyId, 0, 10_000);
  expect(pages.map((page) => page.first)).toEqual(pages.map((_, index) => index * CALLS_PER_COMMIT + 1));
  expect(pages).toHaveLength(sequence);
  return sequence;
}

describe.each(["here", "worker"])("a process that has its store %s", (mode) => {
  test("loses nothing acknowledged when it is killed, round after round on one file", async () => {
    const path = join(folder, `killed-${mode}.db`);
    const float = seededFloat(mode === "worker" ? 7 : 8);
    for (let round = 0; round < 6; round += 1) {
      const wanted = 1 + Math.floor(float() * 60);
      const later = float() * 4;
      const child = spawn(process.execPath, [script, path, mode, String(KEYS)]);
      let killing = false;
      const lines = await run(child, async (so) => {
        if (so.length < wanted || killing) return;
        killing = true;
        await delay(later);
        child.kill("SIGKILL");
      });
      expect(child.signalCode).toBe("SIGKILL");
      const store = await openSqliteStore({ path, worker: false, clock: systemClock });
      for (let key = 0; key < KEYS; key += 1) {
        const sequence = await checkWhole(store, `k${key}`);
        const said = acknowledged(lines, `k${key}`);
        expect(sequence, `round ${round}, key ${key}`).toBeGreaterThanOrEqual(said);
        // One commit of a key is on its way at most.
        if (said > 0) expect(sequence).toBeLessThanOrEqual(said + 1);
      }
      await store.close();
    }
  });

  test("says StoreUnavailable with the cause when the disk is full, and nothing of that commit is there", async () => {
    const path = join(folder, `full-${mode}.db`);
    const command = 'ulimit -f 1500; exec "$0" "$@"';
    const child = spawn("/bin/sh", ["-c", command, process.execPath, script, path, mode, String(KEYS)]);
    const lines = await run(child, () => {});
    expect(child.exitCode).toBe(0);
    const failures = lines.filter((line) => line.failed);
    expect(failures).toHaveLength(KEYS);
    const store = await openSqliteStore({ path, worker: false, clock: systemClock });
    for (const { keyId, unavailable, message, cause, sequenceAfter } of failures) {
      expect(unavailable, message).toBe(true);
      expect(message).toContain("cannot be written");
      expect(cause).toMatch(/full|I\/O/);
      expect(acknowledged(lines, keyId)).toBeGreaterThan(0);
      expect(sequenceAfter).toBe(acknowledged(lines, keyId));
      expect(await checkWhole(store, keyId)).toBe(acknowledged(lines, keyId));
    }
    await store.close();
  });
});
