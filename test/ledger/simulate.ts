/**
 * The properties of model.test.ts for as long as you like: `node test/ledger/simulate.ts --seed 1 --for 60`.
 * Ends with exit code 1 at the first failure, and prints the seed and the smallest case that fails.
 */
import { parseArgs } from "node:util";
import fc from "fast-check";
import { stormProperty } from "./crowd.ts";
import { twinOnSqlite, twinProperty } from "./twin.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, for: { type: "string", default: "60" } },
});
const seconds = Number(values.for);
const first = Number(values.seed);
if (!Number.isSafeInteger(first) || !(seconds > 0)) {
  console.error("`--seed` takes an integer and `--for` a number of seconds, such as `--seed 1 --for 60`.");
  process.exit(2);
}

const RUNS_A_SEED = 200;
const properties = { model: twinProperty, sqlite: twinOnSqlite, storm: stormProperty };
const end = Date.now() + seconds * 1000;
let runs = 0;
for (let seed = first; Date.now() < end; seed += 1) {
  for (const [name, property] of Object.entries(properties)) {
    const result = await fc.check(property as fc.IAsyncProperty<unknown>, {
      seed,
      numRuns: RUNS_A_SEED,
      interruptAfterTimeLimit: Math.max(1, end - Date.now()),
    });
    runs += result.numRuns;
    if (result.failed && result.counterexample !== null) {
      console.error(`${name}: seed ${seed} fails; \`--seed ${seed} --for 60\` shows it again`);
      console.error(result.errorInstance);
      console.error(fc.defaultReportMessage(result));
      process.exit(1);
    }
  }
}
console.log(`${runs} runs from seed ${first}: no failure`);
