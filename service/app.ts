/** The proxy, wired: store → ledger → data plane and control plane on one server, with the work that recurs beside it. */
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock, Random } from "./clock.ts";
import type { Config } from "./config.ts";
import { configuredVendors } from "./configured-vendors.ts";
import type { buildControl } from "./control/control.ts";
import { openIdentities } from "./control/identities.ts";
import type { ControlDeps } from "./control/route.ts";
import { DataPlane, type DataPlaneOptions } from "./data/data-plane.ts";
import { defaultLimits, type Limits } from "./data/limits.ts";
import { readVendor } from "./data/look-up.ts";
import { createServer } from "./data/server.ts";
import { openLedger } from "./ledger/open-ledger.ts";
import { createReconciler } from "./ledger/reconcile.ts";
import type { Logger } from "./log.ts";
import type { ExportedMetrics } from "./metrics/otlp.ts";
import { every } from "./recurring.ts";
import { openPeppers } from "./secrets/open-peppers.ts";
import { lazySecretManager, openVendorSecrets } from "./secrets/open-secrets.ts";
import { lazySetup } from "./setup/lazy-setup.ts";
import type { SetupDeps } from "./setup/open-setup.ts";
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

const DAY_MS = 86_400_000;
const RECONCILE_EVERY_MS = 5 * 60_000;
const SWEEP_EVERY_MS = 10 * 60_000;
/** A new version of the pepper is used for new keys within this. */
const PEPPER_EVERY_MS = 5 * 60_000;
/** Receipts deleted in one go, so that a sweep never holds the store for long. */
const SWEEP_ROWS = 500;
/** Cloud Run kills 10 s after SIGTERM (https://cloud.google.com/run/docs/container-contract#instance-shutdown, read 2026-11). */
const STOP_MS = 6_500;
const DRAIN_MS = 2_000;
const LAST_METRICS_MS = 2_000;
/** All of a drain. */
const CLOSE_MS = 8_800;

/**
 * Resolves when it listens, which is not before the store has answered: a revision that could send nothing fails at its start-up
 * probe and takes no traffic. Throws an `Error` whose message is one sentence about what keeps it from starting.
 */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { config, clock, random, log } = options;
  const vendors = await configuredVendors(config, clock);
  const { onStoreLost: onLost } = options;
  const { firestoreEmulator, retentionDays } = config;
  const around = { clock, random, log, firestoreEmulator, retentionDays, ...(onLost && { onLost }) };
  const store = await openStore(config.store, around);
  try {
    return await wire(options, vendors, store);
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function wire(options: ProxyOptions, vendors: ReadonlyMap<string, Vendor>, store: Store): Promise<Proxy> {
  const { config, clock, random, log } = options;
  const manager = lazySecretManager(config.googleApis);
  const references = new Map([...config.vendors].map(([id, { secret }]) => [id, secret]));
  const [peppers, secrets] = await Promise.all([
    openPeppers({ reference: config.pepper, store, manager, clock, random, log }),
    openVendorSecrets({ references, manager, clock, log }),
  ]);
  const vaultKeys = new VaultKeys(peppers.versions, peppers.load);
  const identities = await openIdentities({ ...options, store, vendors, vaultKeys });
  const metrics = await openMetrics(options);
  const ledger = openLedger({ store, clock, random, log, metrics });
  const lost = await ledger.recover();
  if (lost > 0) log.warn({ calls: lost }, "calls of a process that ended are unknown now; they are reconciled");

  const limits = { ...defaultLimits, ...options.limits };
  const origins = new Map<string, string>();
  for (const [id, { upstream }] of config.vendors) if (upstream !== null) origins.set(id, upstream);
  const data = new DataPlane({
    ...{ ledger, vendors, origins, secrets, keys: vaultKeys, clock, random, log, limits, metrics },
    traceProject: config.traceProject,
    ...(options.probe && { probe: options.probe }),
  });
  const reconcile = createReconciler({
    ...{ store, ledger, vendors, clock, log },
    read: (vendor, place) => readVendor(data, vendor, place),
    openLookup: (call) => data.seals.openLookup(call.keyId, call.lookup),
  });
  const control = controlPlane({
    ...{ ledger, store, vendors, vaultKeys, clock, log },
    ...identities,
    setup: setupOf(options, { store, ledger, vendors, vaultKeys, secrets, ...identities }),
    retentionMs: config.store.startsWith("firestore:") ? config.retentionDays * DAY_MS : null,
    traceProject: config.traceProject,
    reconcile: async () => ({ ...(await reconcile()) }),
  });
  const server = createServer({ data, control: control.handle, log, limits, clock });
  await listen(server, config);
  void control.load();

  const end = new AbortController();
  const recurring = [
    every(RECONCILE_EVERY_MS, reconcile, { clock, log, what: "reconciliation", signal: end.signal }),
    every(SWEEP_EVERY_MS, () => sweep(store, clock), { clock, log, what: "sweep of receipts", signal: end.signal }),
    every(PEPPER_EVERY_MS, peppers.renew, { clock, log, what: "look for a new pepper", signal: end.signal }),
  ];
  const close = async (): Promise<void> => {
    const until = clock.now() + CLOSE_MS;
    end.abort();
    const left = await server.stop(STOP_MS);
    if (left > 0) log.warn({ calls: left }, "calls were still at their vendors; they are unknown now");
    await ledger.drain(DRAIN_MS);
    await data.close();
    await Promise.all(recurring);
    await Promise.all([store.close(), metrics?.close(Math.min(LAST_METRICS_MS, until - clock.now()))]);
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

/** Jobs are launched, and executions claim keys, under policies only. */
function setupOf(
  { config, clock, random, log }: ProxyOptions,
  {
    policies,
    ...deps
  }: Pick<SetupDeps, "store" | "ledger" | "vendors" | "vaultKeys" | "secrets"> & Pick<ControlDeps, "policies">,
): ControlDeps["setup"] {
  if (policies === null) return null;
  const { googleApis, retentionDays } = config;
  return lazySetup({ ...deps, policies, clock, random, log, googleApis, retentionMs: retentionDays * DAY_MS });
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

/** OpenTelemetry is loaded when somebody wants its figures. */
async function openMetrics({ config, clock, random, log }: ProxyOptions): Promise<ExportedMetrics | undefined> {
  if (config.metricsUrl === null) return undefined;
  const { openOtlpMetrics } = await import("./metrics/otlp.ts");
  return openOtlpMetrics({ url: config.metricsUrl, clock, random, log });
}

async function sweep(store: Store, clock: Clock): Promise<void> {
  while ((await store.sweepReceipts(clock.now(), SWEEP_ROWS)) === SWEEP_ROWS) await new Promise(setImmediate);
}
