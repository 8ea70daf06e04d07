/**
 * Goal: a store that cannot be opened says why and what to do, and one that can is whole. Method: real files, a real
 * second process. Limit: local file systems only.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, describe, expect, test } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { openStore } from "../../service/stores/open-store.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import { migrate, migrations } from "../../service/stores/sqlite-schema.ts";
import { StoreUnavailable } from "../../service/stores/store.ts";
import { create, KeyWriter, sampleCall } from "./samples.ts";

const folder = mkdtempSync(join(tmpdir(), "keybrake-open-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function file(): string {
  files += 1;
  return join(folder, `${files}.db`);
}

function open(path: string, worker: boolean) {
  return openSqliteStore({ path, worker, clock: systemClock, lockWaitMs: 0 });
}

async function refusal(path: string, worker: boolean): Promise<string> {
  const error: unknown = await open(path, worker).then(
    () => null,
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(StoreUnavailable);
  return error instanceof Error ? error.message : "";
}

describe.each([false, true])("a file opened with worker = %s", (worker) => {
  test("is kept after it is closed, with an empty WAL, readable by its owner only", async () => {
    const path = file();
    const store = await open(path, worker);
    const key = new KeyWriter(store, "k1");
    await key.write([create(sampleCall("c1"))]);
    await store.settingOnce("admin", "hash");
    await store.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(existsSync(`${path}-wal`) ? statSync(`${path}-wal`).size : 0).toBe(0);
    const again = await open(path, worker);
    expect((await again.read("k1", ["c:c1"]))?.docs.size).toBe(1);
    expect(await again.setting("admin")).toBe("hash");
    await again.close();
  });

  test("keeps its time and its order over a restart, whatever the clock says", async () => {
    const path = file();
    let now = 5_000;
    const clock = { now: () => now };
    const first = await openSqliteStore({ path, worker, clock });
    await new KeyWriter(first, "k1").write([create(sampleCall("c1")), create(sampleCall("c2"))]);
    const { cursor } = await first.listOpenCalls(2, null);
    await first.close();
    now = 1_000;
    const second = await openSqliteStore({ path, worker, clock });
    const key = new KeyWriter(second, "k2");
    expect(await key.write([{ op: "delete", id: "c:c2" }, create(sampleCall("c3"))])).toBe(5_000);
    const { items } = await second.listCalls({}, 10, null);
    expect(items.map((call) => call.id)).toEqual(["c3", "c1"]);
    // The number of the call that is gone is not given out again: the cursor on it leads to what came after.
    expect((await second.listOpenCalls(10, cursor)).items.map((call) => call.id)).toEqual(["c3"]);
    await second.close();
  });

  test("is refused while another process has it, also under another name; that process's end frees it", async () => {
    const path = file();
    const child = spawn(process.execPath, [join(import.meta.dirname, "committing-child.ts"), path, "here", "1"]);
    await once(child.stdout, "data");
    const link = `${path}-link.db`;
    symlinkSync(path, link);
    for (const name of [path, link]) {
      const message = await refusal(name, worker);
      expect(message).toContain(name);
      expect(message).toMatch(/open in another process: stop that process, or name another file/);
    }
    child.stdout.resume();
    child.kill("SIGKILL");
    await once(child, "close");
    const store = await open(path, worker);
    expect((await store.read("k0", []))?.state.keyId).toBe("k0");
    await store.close();
  });

  test("is refused while this process has it open already", async () => {
    const path = file();
    const store = await open(path, worker);
    expect(await refusal(path, worker)).toContain("open in another process");
    await store.close();
  });

  test("of a newer schema, of another program, damaged, or in no folder is refused with one sentence that names it", async () => {
    const newer = file();
    await (await open(newer, worker)).close();
    const db = new DatabaseSync(newer);
    db.exec("PRAGMA user_version = 99");
    db.close();
    expect(await refusal(newer, worker)).toMatch(/newer Keybrake .*version 99/);

    const foreign = file();
    const other = new DatabaseSync(foreign);
    other.exec("CREATE TABLE theirs (x)");
    other.close();
    expect(await refusal(foreign, worker)).toMatch(/not Keybrake's/);
    const left = new DatabaseSync(foreign, { readOnly: true });
    expect(left.prepare("SELECT name FROM sqlite_schema").all()).toEqual([{ name: "theirs" }]);
    left.close();

    const text = file();
    writeFileSync(text, "this is a letter, and no database. ".repeat(400));
    expect(await refusal(text, worker)).toMatch(/damaged or no SQLite database/);

    const damaged = file();
    copyFileSync(newer, damaged);
    const bytes = readFileSync(damaged).fill(0xa5, 100, 4_096);
    writeFileSync(damaged, bytes);
    expect(await refusal(damaged, worker)).toMatch(/damaged or no SQLite database/);

    const nowhere = join(folder, "no", "such", "folder.db");
    expect(await refusal(nowhere, worker)).toMatch(/cannot be opened .*a folder that exists/);
    for (const path of [newer, foreign, text, damaged, nowhere]) expect(await refusal(path, worker)).toContain(path);
  });

  test("that is damaged in its rows says StoreUnavailable when they are read", async () => {
    const path = file();
    const store = await open(path, worker);
    const key = new KeyWriter(store, "k1");
    for (let n = 0; n < 20; n += 1) {
      await key.write(Array.from({ length: 50 }, (_, index) => create(sampleCall(`c${n}-${index}`))));
    }
    await store.close();
    writeFileSync(path, readFileSync(path).fill(0xa5, 24 * 4_096));
    const damaged = await open(path, worker);
    await expect(damaged.listCalls({}, 1_000, null)).rejects.toThrow(StoreUnavailable);
    await damaged.close();
  });

  test("answers StoreUnavailable once it is closed, after it has finished what it had", async () => {
    const store = await open(file(), worker);
    const key = new KeyWriter(store, "k1");
    const last = store.commit("k1", key.next([]));
    await store.close();
    expect((await last).kind).toBe("committed");
    await expect(store.commit("k1", key.next([]))).rejects.toThrow(StoreUnavailable);
    await expect(store.read("k1", [])).rejects.toThrow(StoreUnavailable);
    await store.close();
  });
});

describe("migrations", () => {
  const step = "CREATE TABLE more (x INTEGER); INSERT INTO more SELECT count(*) FROM keys";

  test("bring a database of version 1 with rows in it to the next version, once", async () => {
    const path = file();
    const store = await open(path, false);
    await new KeyWriter(store, "k1").write();
    await store.close();
    const db = new DatabaseSync(path);
    migrate(db, [...migrations, step]);
    migrate(db, [...migrations, step]);
    expect(db.prepare("PRAGMA user_version").get()).toEqual({ user_version: migrations.length + 1 });
    expect(db.prepare("SELECT x FROM more").all()).toEqual([{ x: 1 }]);
    db.close();
    expect(await refusal(path, false)).toContain("newer");
  });

  test("that fail in the middle leave the version before them whole", async () => {
    const path = file();
    await (await open(path, false)).close();
    const db = new DatabaseSync(path);
    expect(() => migrate(db, [...migrations, `${step}; INSERT INTO nothing VALUES (1)`])).toThrow(/nothing/);
    expect(db.prepare("PRAGMA user_version").get()).toEqual({ user_version: migrations.length });
    expect(db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'more'").get()).toEqual({ n: 0 });
    db.close();
    await (await open(path, false)).close();
  });
});

describe("KEYBRAKE_STORE", () => {
  const surroundings = { clock: systemClock, random: systemRandom, log: createLogger({ write: () => {} }) };

  test("opens a file and memory", async () => {
    const path = file();
    for (const spec of [`sqlite:${path}`, "sqlite::memory:"]) {
      const store = await openStore(spec, surroundings);
      expect(store.exclusive).toBe(true);
      await new KeyWriter(store, "k1").write();
      await store.close();
    }
    expect(existsSync(path)).toBe(true);
  });

  test("that names no store is refused with a valid example", async () => {
    for (const spec of ["firestore:", "firestore:p", "firestore:p/", "firestore:/d", "firestore:p/d/e"]) {
      await expect(openStore(spec, surroundings), spec).rejects.toThrow(/`firestore:my-project\/keybrake`/);
    }
    for (const spec of ["", "sqlite", "sqlite:", "postgres://x", "keybrake.db"]) {
      await expect(openStore(spec, surroundings), spec).rejects.toThrow(/KEYBRAKE_STORE.*`sqlite:keybrake.db`/);
    }
  });
});
