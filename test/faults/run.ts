/**
 * lost-answers.test.ts at length: `node test/faults/run.ts --seed 1 --for 60`. Starts an emulator of its own unless
 * FIRESTORE_EMULATOR_HOST names one. Ends with exit code 1 at the first seed that fails, and prints it.
 */
import { parseArgs } from "node:util";
import { startEmulator } from "../support/emulator.ts";
import { endureLine } from "./line-storm.ts";

const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, for: { type: "string", default: "60" } },
});
const [first, seconds] = [Number(values.seed), Number(values.for)];
if (!Number.isSafeInteger(first) || !(seconds > 0)) {
  console.error("`--seed` takes an integer and `--for` a number of seconds, such as `--seed 1 --for 60`.");
  process.exit(2);
}

const running = process.env.FIRESTORE_EMULATOR_HOST;
const started = running ? null : await startEmulator();
const emulator = running ?? started!.host;
const end = Date.now() + seconds * 1_000;
let seed = first;
try {
  for (; Date.now() < end; seed += 1) {
    const { happened, states, unavailable } = await endureLine({ seed, emulator, clients: 50 });
    console.log(`seed ${seed}: ${happened} faults, ${unavailable} × 503, ${JSON.stringify(states)}`);
  }
  console.log(`${seed - first} runs from seed ${first}: no failure`);
} catch (error) {
  console.error(`seed ${seed} fails; \`--seed ${seed} --for 1\` tries it again`);
  console.error(error);
  process.exitCode = 1;
} finally {
  await started?.stop();
}
