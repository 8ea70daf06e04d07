/**
 * The proxy's data plane on the baseline's ledger: the same hop, with a Firestore transaction for each reserve and each finish. It
 * has no control plane: the key comes from a proxy on the same database.
 */
import { pino } from "pino";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { readConfig } from "../../service/config.ts";
import { configuredVendors } from "../../service/configured-vendors.ts";
import { DataPlane } from "../../service/data/data-plane.ts";
import { defaultLimits } from "../../service/data/limits.ts";
import { createServer } from "../../service/data/server.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { openPeppers } from "../../service/secrets/open-peppers.ts";
import { lazySecretManager, openVendorSecrets } from "../../service/secrets/open-secrets.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import { countOperations } from "./firestore-operations.ts";
import { listenAndReport } from "./listen.ts";
import { TransactionLedger } from "./transaction-ledger.ts";

const config = readConfig(process.env);
const [project, database] = config.store.replace("firestore:", "").split("/");
const emulator = config.firestoreEmulator;
if (!project || !database || !emulator) throw new Error("KEYBRAKE_STORE and FIRESTORE_EMULATOR_HOST name no emulator");

const counter = countOperations();
const surroundings = { clock: systemClock, random: systemRandom, log: pino({ level: "silent" }) };
const store = await openFirestoreStore({ project, database, emulator, random: systemRandom });
const manager = lazySecretManager(null);
const references = new Map([...config.vendors].map(([id, { secret }]) => [id, secret]));
const secrets = await openVendorSecrets({ references, manager, ...surroundings });
const peppers = await openPeppers({ reference: config.pepper, store, manager, ...surroundings });

const transactions = new TransactionLedger({ store, ...surroundings }, { project, database, emulator });
const grouped = openLedger({ store, ...surroundings });
/** What is no call of the load goes the proxy's own way. An outcome that failed is not tried again: it counts as failed. */
const ledger: Ledger = {
  ...grouped,
  key: (keyId) => grouped.key(keyId),
  fresh: (keyId) => grouped.fresh(keyId),
  peek: (keyId) => grouped.peek(keyId),
  reserve: transactions.reserve,
  finish: transactions.finish,
  finishLater: () => {},
};

const origins = new Map<string, string>();
for (const [id, { upstream }] of config.vendors) if (upstream !== null) origins.set(id, upstream);
const data = new DataPlane({
  ...surroundings,
  ...{ ledger, origins, secrets },
  vendors: await configuredVendors(config, systemClock),
  keys: new VaultKeys(peppers.versions, peppers.load),
  limits: defaultLimits,
});
const control = (_: unknown, response: { writeHead(status: number): { end(): void } }): void => {
  response.writeHead(404).end();
};
listenAndReport(createServer({ data, control, limits: defaultLimits, ...surroundings }), () => ({
  operations: counter.counts,
  transactions: transactions.counts,
}));
