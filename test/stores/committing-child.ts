/**
 * A process that commits to a store until it is killed or the disk is full, and says on stdout what was acknowledged.
 * Arguments: file, `worker` or `here`, number of keys. A commit with sequence s makes the calls of s, settles those of
 * s − 1, and adds one page.
 */
import { writeSync } from "node:fs";
import { systemClock } from "../../service/clock.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import { type Store, StoreUnavailable, type Write } from "../../service/stores/store.ts";
import { CALLS_PER_COMMIT, committedCall } from "./committed.ts";
import { create, KeyWriter, put, samplePage } from "./samples.ts";

function say(line: object): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function keepCommitting(store: Store, keyId: string): Promise<void> {
  const key = new KeyWriter(store, keyId);
  const before = await store.read(keyId, []);
  if (before) {
    key.version = before.version;
    key.state = before.state;
  }
  for (;;) {
    const sequence = key.state.sequence + 1;
    const writes: Write[] = [];
    for (let n = 0; n < CALLS_PER_COMMIT; n += 1) {
      writes.push(create(committedCall(keyId, sequence, n, "reserved")));
      if (sequence === 1) continue;
      const settled = committedCall(keyId, sequence - 1, n, "settled");
      writes.push(put(settled), {
        op: "create",
        id: `r:${settled.id}`,
        doc: { sealed: "s".repeat(900), expiresAt: 1 },
      });
    }
    await key.write(writes, samplePage(keyId, (sequence - 1) * CALLS_PER_COMMIT + 1, CALLS_PER_COMMIT));
    say({ keyId, sequence });
  }
}

const [path = "", mode, keys] = process.argv.slice(2);
const store = await openSqliteStore({ path, worker: mode === "worker", clock: systemClock });
const ids = Array.from({ length: Number(keys) }, (_, index) => `k${index}`);
const ends = await Promise.allSettled(ids.map((id) => keepCommitting(store, id)));
for (const [index, end] of ends.entries()) {
  if (end.status === "fulfilled") continue;
  const keyId = ids[index]!;
  const unavailable = end.reason instanceof StoreUnavailable;
  const cause = end.reason instanceof Error && end.reason.cause instanceof Error ? end.reason.cause.message : null;
  const sequence = (await store.read(keyId, []))?.state.sequence ?? 0;
  say({ keyId, failed: true, unavailable, message: String(end.reason), cause, sequenceAfter: sequence });
}
