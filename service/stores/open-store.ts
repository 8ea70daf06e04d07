/** From the text of KEYBRAKE_STORE to a store. */
import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../log.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

export interface StoreSurroundings {
  clock: Pick<Clock, "now">;
  /** For the ids that Firestore's documents have beside the ledger's. */
  random: Random;
  log: Logger;
  /** `HOST:PORT` of an emulator that stands in for Firestore. */
  firestoreEmulator?: string | null;
  /** Days that Firestore keeps what is finished after its key's end. Default 400. */
  retentionDays?: number;
  /** Called when the store has ended by itself: only a restart helps. */
  onLost?: () => void;
}

/**
 * @param spec `sqlite:FILE`, `sqlite::memory:` or `firestore:PROJECT/DATABASE`.
 * Throws an `Error` with one sentence when the text names no store, `StoreUnavailable` when that store cannot be opened. Firestore
 * is asked first when something is read.
 */
export async function openStore(spec: string, surroundings: StoreSurroundings): Promise<Store> {
  const [scheme, ...rest] = spec.split(":");
  const place = rest.join(":");
  if (scheme === "firestore") return openFirestore(spec, place, surroundings);
  if (scheme === "sqlite" && place !== "") return openSqlite(spec, place, surroundings);
  throw new Error(
    `KEYBRAKE_STORE: \`${spec}\` names no store; a valid value is \`sqlite:keybrake.db\` (or \`sqlite::memory:\`, which forgets all at the end), or \`firestore:my-project/keybrake\`.`,
  );
}

async function openFirestore(spec: string, place: string, surroundings: StoreSurroundings): Promise<Store> {
  const [project = "", database = "", ...more] = place.split("/");
  if (project === "" || database === "" || more.length > 0) {
    throw new Error(
      `KEYBRAKE_STORE: \`${spec}\` names no project and database; a valid value is \`firestore:my-project/keybrake\`.`,
    );
  }
  const { random, firestoreEmulator: emulator = null, retentionDays } = surroundings;
  // The client library is large: a proxy on SQLite does not load it.
  const { openFirestoreStore } = await import("./firestore.ts");
  return openFirestoreStore({ project, database, emulator, random, ...(retentionDays && { retentionDays }) });
}

async function openSqlite(spec: string, path: string, { clock, log, onLost }: StoreSurroundings): Promise<Store> {
  let open = false;
  const store = await openSqliteStore({
    path,
    clock,
    onLost: () => {
      // What keeps a store from opening is thrown, and nothing may end the process before that is said.
      if (!open) return;
      log.fatal({ store: spec }, "the store has ended by itself");
      onLost?.();
    },
  });
  open = true;
  return store;
}
