/**
 * The embedded store's tables, as a list of migrations: entry n brings a database of version n to n + 1. An entry that
 * was released is never edited, only followed by another.
 */
import type { DatabaseSync } from "node:sqlite";

/** "KBRK" in ASCII: marks the file as ours (https://www.sqlite.org/pragma.html#pragma_application_id). */
export const APPLICATION_ID = 0x4b42524b;

export const migrations: readonly string[] = [
  `
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    /* Last time written, ms, and last row number given: neither ever goes back. */
    time INTEGER NOT NULL,
    row INTEGER NOT NULL
  ) STRICT;
  INSERT INTO meta VALUES (1, 0, 0);

  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

  CREATE TABLE keys (
    seq INTEGER PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    label TEXT NOT NULL,
    execution TEXT,
    owner TEXT NOT NULL,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE INDEX keys_label ON keys (label);
  CREATE INDEX keys_execution ON keys (execution) WHERE execution IS NOT NULL;
  CREATE INDEX keys_owner ON keys (owner);

  /* The document comes last, so that a filter reads none of it. */
  CREATE TABLE calls (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    label TEXT NOT NULL,
    execution TEXT,
    vendor TEXT NOT NULL,
    task INTEGER,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    doc TEXT NOT NULL
  ) STRICT;
  CREATE INDEX calls_key ON calls (key_id);
  CREATE INDEX calls_label ON calls (label);
  CREATE INDEX calls_execution ON calls (execution) WHERE execution IS NOT NULL;
  CREATE INDEX calls_open ON calls (open) WHERE open = 1;

  /* Aliases, vendor objects and markers, by their whole id. With rows of their own: the index of ids stays small. */
  CREATE TABLE docs (id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT;

  /* Under the number of its call: so they are appended, where an index of random ids is written all over. */
  CREATE TABLE receipts (seq INTEGER PRIMARY KEY, expires_at INTEGER NOT NULL, sealed TEXT NOT NULL) STRICT;
  CREATE INDEX receipts_expiry ON receipts (expires_at);

  CREATE TABLE pages (
    key_id TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (key_id, first)
  ) STRICT;
  `,
  `
  CREATE TABLE records (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    doc TEXT NOT NULL,
    PRIMARY KEY (kind, name)
  ) STRICT, WITHOUT ROWID;
  `,
];

/** The database was written by a newer version of the program. */
export class NewerSchema extends Error {
  override name = "NewerSchema";
}

/** The file is a database, but not one of ours. */
export class ForeignDatabase extends Error {
  override name = "ForeignDatabase";
}

/**
 * Brings the database to the newest version, each step in a transaction of its own: a step that fails leaves the version
 * before it whole. Throws {@link NewerSchema}, {@link ForeignDatabase}, or the error of the step.
 */
export function migrate(db: DatabaseSync, steps: readonly string[] = migrations): void {
  const version = pragma(db, "user_version");
  if (version > steps.length) {
    throw new NewerSchema(`its schema has version ${version}, and this program knows ${steps.length} at most`);
  }
  const tables = Number(db.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.n);
  if (pragma(db, "application_id") !== APPLICATION_ID && tables > 0) {
    throw new ForeignDatabase("it holds tables of another program");
  }
  for (const [index, step] of steps.entries()) {
    if (index < version) continue;
    db.exec("BEGIN IMMEDIATE");
    try {
      db.exec(step);
      db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}; COMMIT`);
    } catch (error) {
      if (db.isTransaction) db.exec("ROLLBACK");
      throw error;
    }
  }
}

function pragma(db: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(db.prepare(`PRAGMA ${name}`).get()?.[name]);
}
