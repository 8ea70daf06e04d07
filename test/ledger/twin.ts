/** The property of model.test.ts and simulate.ts: whatever is asked in whatever order, the real ledger answers as the model does. */
import fc from "fast-check";
import { commands, type Model, type Real } from "./commands.ts";
import { makeWorld } from "./fixture.ts";

/** Faults that a client never notices: the ledger works them off. */
const faults = { conflict: 0.15, doubt: 0.15, turns: 3 };

export const twinProperty = fc.asyncProperty(
  commands,
  fc.nat(),
  fc.integer({ min: 1, max: 3 }),
  async (steps, seed, instances) => {
    const setup = () => {
      const world = makeWorld({ seed, instances, faults });
      const model: Model = { pairs: [], sent: [] };
      const real: Real = { ...world, pick: (n) => world.ledgers[n % instances]! };
      return { model, real };
    };
    await fc.asyncModelRun(setup, steps);
  },
);
