/** Opens the embedded store's file for this process alone, or says in one sentence why it cannot. */
import { closeSync, existsSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { ForeignDatabase, migrate, NewerSchema } from "./sqlite-schema.ts";
import { StoreUnavailable } from "./store.ts";

/** Primary result codes (https://www.sqlite.org/rescode.html). */
export const SQLITE_BUSY = 5;
export const SQLITE_CONSTRAINT = 19;
const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;

/** WAL pages after which a commit copies them into the database: about 16 MiB. */
const CHECKPOINT_PAGES = 4_000;
/** The WAL file is cut to this size, bytes, when it was longer. */
const WAL_BYTES = 64 * 1024 * 1024;
/**
 * What SQLite keeps of the file in memory; the rest is the kernel's. A commit that split an index page walks the whole
 * cache (`pcache1TruncateUnsafe`): 32 MiB took 13 % more CPU per call than 4 MiB (SQLite of Node 24, measured 2026-11).
 */
const CACHE_KIB = 4_096;

/** SQLite's primary result code, or `null` when the error is not SQLite's. */
export function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return null;
  return error.errcode & 0xff;
}

/**
 * The lock is SQLite's own: with `locking_mode = EXCLUSIVE` the first access takes it on the database file itself and
 * keeps it. So the kernel gives it back whatever ends the process, a link to the file leads to the same lock, and there
 * is no lock file to be left behind. It also spares the shared-memory index of the WAL.
 * @param lockWaitMs how long to wait for another process to let go of the file.
 */
export function openDatabase(path: string, lockWaitMs: number): DatabaseSync {
  let db: DatabaseSync | null = null;
  try {
    if (path !== ":memory:" && !existsSync(path)) closeSync(openSync(path, "a", 0o600));
    db = new DatabaseSync(path, { timeout: lockWaitMs, enableForeignKeyConstraints: false });
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY");
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    db.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}; PRAGMA journal_size_limit = ${WAL_BYTES}`);
    db.exec(`PRAGMA cache_size = -${CACHE_KIB}`);
    db.exec("BEGIN IMMEDIATE; COMMIT");
    migrate(db);
    return db;
  } catch (error) {
    db?.close();
    throw new StoreUnavailable(whyNot(path, error), { cause: error });
  }
}

function whyNot(path: string, error: unknown): string {
  const code = sqliteCode(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === SQLITE_BUSY) {
    return `The store \`${path}\` is open in another process: stop that process, or name another file in KEYBRAKE_STORE.`;
  }
  if (code === SQLITE_NOTADB || code === SQLITE_CORRUPT) {
    return `The store \`${path}\` is damaged or no SQLite database (${text}): restore it from a backup, or name another file in KEYBRAKE_STORE.`;
  }
  if (error instanceof NewerSchema) {
    return `The store \`${path}\` was written by a newer Keybrake (${text}): start that version, or restore a backup made before the upgrade.`;
  }
  if (error instanceof ForeignDatabase) {
    return `The store \`${path}\` is not Keybrake's (${text}): name another file in KEYBRAKE_STORE.`;
  }
  return `The store \`${path}\` cannot be opened (${text}): KEYBRAKE_STORE must name a file in a folder that exists and is writable, like \`sqlite:keybrake.db\`.`;
}
