/**
 * Goal: the Firestore store keeps the promises of the store contract. Method: the contract on the official emulator, each test
 * in a database of its own. Limit: the emulator is one Java process: it knows neither Google's limits of rate and size, nor a
 * query's need of an index (see firestore-indexes.test.ts), and its locks and its order of events are its own.
 */
import { systemClock, systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { openStore } from "../../service/stores/open-store.ts";
import { describeOnEmulator, type OnEmulator } from "../support/on-emulator.ts";
import { storeContract } from "./contract.ts";

const log = createLogger({ write: () => {} });

function open(emulator: OnEmulator, spec = emulator.freshStore()) {
  return openStore(spec, { clock: systemClock, random: systemRandom, log, firestoreEmulator: emulator.host });
}

describeOnEmulator("Firestore", (emulator) => {
  storeContract("firestore", async () => ({ store: await open(emulator), packsReceipts: true }));
});
