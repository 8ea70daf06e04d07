/** The proxy, wired: store → ledger → data plane and control plane on one server, with the work that recurs beside it. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock, Random } from "./clock.ts";
import type { Config } from "./config.ts";
import { configuredVendors } from "./configured-vendors.ts";
import { adminKeyWay, openAdminKey } from "./control/admin-key.ts";
import type { buildControl } from "./control/control.ts";
import type { ControlDeps } from "./control/route.ts";
import { DataPlane, type DataPlaneOptions } from "./data/data-plane.ts";
import { defaultLimits, type Limits } from "./data/limits.ts";
import { readVendor } from "./data/look-up.ts";
import { createServer } from "./data/server.ts";
import { openLedger } from "./ledger/open-ledger.ts";
import { createReconciler } from "./ledger/reconcile.ts";
import type { Logger } from "./log.ts";
import { every } from "./recurring.ts";
import { LocalSecrets } from "./secrets/local-secrets.ts";
import { bindPeppers, openPepperFile, pepperInMemory, usesPepper } from "./secrets/pepper.ts";
import { openStore } from "./stores/open-store.ts";
import type { Store } from "./stores/store.ts";
import { VaultKeys } from "./vault-key.ts";
import type { Vendor } from "./vendors/vendor.ts";

export interface ProxyOptions {
  config: Config;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Called with the text of an admin key that this start made: the only moment it can be seen. */
  announceAdminKey: (key: string) => void;
  /** Called when the store has ended by itself: nothing can be sent until a restart. */
  onStoreLost?: () => void;
  /** Bounds that differ from {@link defaultLimits}. */
  limits?: Partial<Limits>;
  /** Watches the steps of each call: for tests. */
  probe?: DataPlaneOptions["probe"];
}

export interface Proxy {
  /** `http://127.0.0.1:8080`, with the port that was picked. */
  url: string;
  /** Drains and closes, in less than 10 s. Safe to call twice. */
  close(): Promise<void>;
}

const RECONCILE_EVERY_MS = 5 * 60_000;
const SWEEP_EVERY_MS = 10 * 60_000;
/** Receipts deleted in one go, so that a sweep never holds the store for long. */
const SWEEP_ROWS = 500;
/** Cloud Run kills 10 s after SIGTERM (https://cloud.google.com/run/docs/container-contract#instance-shutdown, read 2026-11). */
const STOP_MS = 6_500;
const DRAIN_MS = 2_000;

/** Throws an `Error` whose message is one sentence about what keeps it from starting. */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { config, clock, random, log } = options;
  const vendors = await configuredVendors(config, clock);
  const { onStoreLost: onLost } = options;
  const store = await openStore(config.store, { clock, random, log, ...(onLost && { onLost }) });
  try {
    return await wire(options, vendors, store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function wire(options: ProxyOptions, vendors: ReadonlyMap<string, Vendor>, store: Store): Promise<Proxy> {
  const { config, clock, random, log } = options;
  const vaultKeys = await openVaultKeys(options, store);
  const secrets = await openSecrets(options);
  const adminKey = await openAdminKey(config.adminKey?.reveal() ?? null, store, random, options.announceAdminKey);
  const ledger = openLedger({ store, clock, random, log });
  const lost = await ledger.recover();
  if (lost > 0) log.warn({ calls: lost }, "calls of a process that ended are unknown now; they are reconciled");

  const limits = { ...defaultLimits, ...options.limits };
  const origins = new Map<string, string>();
  for (const [id, { upstream }] of config.vendors) if (upstream !== null) origins.set(id, upstream);
  const data = new DataPlane({
    ...{ ledger, vendors, origins, secrets, keys: vaultKeys, clock, random, log, limits },
    ...(options.probe && { probe: options.probe }),
  });
  const reconcile = createReconciler({
    ...{ store, ledger, vendors, clock, log },
    read: (vendor, place) => readVendor(data, vendor, place),
    openLookup: (call) => data.seals.openLookup(call.keyId, call.lookup),
  });
  const control = controlPlane({
    ...{ ledger, store, vendors, vaultKeys, clock, log },
    authenticate: [adminKeyWay(adminKey)],
    reconcile: async () => ({ ...(await reconcile()) }),
  });
  const server = createServer({ data, control: control.handle, log, limits, clock });
  await listen(server, config);
  void control.load();

  const end = new AbortController();
  const recurring = [
    every(RECONCILE_EVERY_MS, reconcile, { clock, log, what: "reconciliation", signal: end.signal }),
    every(SWEEP_EVERY_MS, () => sweep(store, clock), { clock, log, what: "sweep of receipts", signal: end.signal }),
  ];
  const close = async (): Promise<void> => {
    end.abort();
    const left = await server.stop(STOP_MS);
    if (left > 0) log.warn({ calls: left }, "calls were still at their vendors; they are unknown now");
    await ledger.drain(DRAIN_MS);
    await data.close();
    await Promise.all(recurring);
    await store.close();
  };
  let closing: Promise<void> | null = null;
  return {
    url: urlOf(server.address() as AddressInfo),
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

interface ControlPlane {
  handle(request: IncomingMessage, response: ServerResponse): void;
  load(): Promise<unknown>;
}

/** Express and the schemas take longer to load than all the rest: they do it once the proxy listens. */
function controlPlane(deps: ControlDeps): ControlPlane {
  let app: Promise<ReturnType<typeof buildControl>> | null = null;
  const load = () => {
    app ??= import("./control/control.ts").then((module) => module.buildControl(deps));
    return app;
  };
  return {
    load,
    handle: (request, response) => void load().then((loaded) => loaded(request, response)),
  };
}

async function listen(server: ReturnType<typeof createServer>, { host, port }: Config): Promise<void> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why =
      code === "EADDRINUSE"
        ? `PORT: ${port} on ${host} is taken by another process; stop it, or set PORT to a free one (0 picks one).`
        : `HOST, PORT: cannot listen on ${host} port ${port} (${code}); a valid choice is HOST=127.0.0.1 PORT=8080.`;
    throw new Error(why, { cause: error });
  }
}

function urlOf({ address, family, port }: AddressInfo): string {
  const host = address === "0.0.0.0" || address === "::" ? "127.0.0.1" : family === "IPv6" ? `[${address}]` : address;
  return `http://${host}:${port}`;
}

async function openVaultKeys({ config, random, log }: ProxyOptions, store: Store): Promise<VaultKeys> {
  const path = config.pepperFile;
  if (path === null) return new VaultKeys(pepperInMemory(random));
  const { peppers, made } = await openPepperFile(path, random, !(await usesPepper(store)));
  if (made) log.info({ path }, "pepper made; back it up with the store, for no vault key verifies without it");
  await bindPeppers(store, peppers, path);
  return new VaultKeys(peppers);
}

/** Every secret is read once here: a start that could send nothing should say so. */
async function openSecrets({ config, clock, log }: ProxyOptions): Promise<LocalSecrets> {
  const references = new Map([...config.vendors].map(([id, { secret }]) => [id, secret]));
  const secrets = new LocalSecrets({ references, clock, log });
  for (const id of references.keys()) {
    await secrets.get(id).catch((error: Error) => {
      throw new Error(`KEYBRAKE_VENDORS: ${error.message.replace(/^\w+: /, "")}; put a valid secret there.`);
    });
  }
  return secrets;
}

async function sweep(store: Store, clock: Clock): Promise<void> {
  while ((await store.sweepReceipts(clock.now(), SWEEP_ROWS)) === SWEEP_ROWS) await new Promise(setImmediate);
}
