/** The property of model.test.ts and simulate.ts: whatever is asked in whatever order, the real ledger answers as the model does. */
import fc from "fast-check";
import type { Clock } from "../../service/clock.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import type { Store } from "../../service/stores/store.ts";
import { commands, type Model, type Real } from "./commands.ts";
import { ledgerOn, ManualClock } from "./fixture.ts";

function twinOn(open: (clock: Clock, seed: number) => Store | Promise<Store>) {
  return fc.asyncProperty(commands, fc.nat(), fc.integer({ min: 1, max: 3 }), async (steps, seed, instances) => {
    const clock = new ManualClock();
    const store = await open(clock, seed);
    const ledgers = Array.from({ length: instances }, (_, i) => ledgerOn(store, clock, seed * 100 + i));
    const model: Model = { pairs: [], sent: [], aliases: new Map(), days: new Map() };
    const real: Real = { clock, store, pick: (n) => ledgers[n % instances]! };
    try {
      await fc.asyncModelRun(() => ({ model, real }), steps);
    } finally {
      await store.close();
    }
  });
}

/** Faults that a client never notices: the ledger works them off. */
const faults = { conflict: 0.15, doubt: 0.15, turns: 3 };

export const twinProperty = twinOn((clock, seed) => new MemoryStore({ clock, faults: { seed, ...faults } }));

/** On the embedded store; its one process has several ledgers here, which it never has in a proxy. */
export const twinOnSqlite = twinOn((clock) => openSqliteStore({ path: ":memory:", clock }));
