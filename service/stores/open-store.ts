/** From the text of KEYBRAKE_STORE to a store. */
import type { Clock, Random } from "../clock.ts";
import type { Logger } from "../log.ts";
import { openSqliteStore } from "./sqlite.ts";
import type { Store } from "./store.ts";

export interface StoreSurroundings {
  clock: Pick<Clock, "now">;
  /** For stores that wait for a random time before they try again. */
  random: Random;
  log: Logger;
  /** Called when the store has ended by itself: only a restart helps. */
  onLost?: () => void;
}

/**
 * @param spec `sqlite:FILE` or `sqlite::memory:`.
 * Throws an `Error` with one sentence when the text names no store, `StoreUnavailable` when that store cannot be opened.
 */
export async function openStore(spec: string, { clock, log, onLost }: StoreSurroundings): Promise<Store> {
  const [scheme, ...rest] = spec.split(":");
  const place = rest.join(":");
  if (scheme === "firestore") {
    throw new Error("KEYBRAKE_STORE: Firestore is not built into this version; use a file, like `sqlite:keybrake.db`.");
  }
  if (scheme !== "sqlite" || place === "") {
    throw new Error(
      `KEYBRAKE_STORE: \`${spec}\` names no store; a valid value is \`sqlite:keybrake.db\` (or \`sqlite::memory:\`, which forgets all at the end).`,
    );
  }
  let open = false;
  const store = await openSqliteStore({
    path: place,
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
