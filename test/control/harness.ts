/** The control plane on a real socket, over the real ledger and the store in memory, with a clock that the test moves. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Clock, systemRandom } from "../../service/clock.ts";
import { adminKeyWay, hashAdminKey } from "../../service/control/admin-key.ts";
import { buildControl } from "../../service/control/control.ts";
import { Issuers } from "../../service/control/issuers.ts";
import type { BudgetVendor, ControlDeps } from "../../service/control/route.ts";
import type { Ledger, Outcome, ReserveRequest } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { Call } from "../../service/ledger/types.ts";
import { createLogger } from "../../service/log.ts";
import { pepperInMemory } from "../../service/secrets/pepper.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { PolicyDocs } from "../../service/stores/store.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import { builtIn, loadVendors } from "../../service/vendors/index.ts";
import { ControlClient } from "../support/control-client.ts";

export const ADMIN_KEY = "canary-admin-key-of-the-tests-0123456789";
export const START = Date.UTC(2026, 10, 22, 10, 0, 0);

export class ManualClock implements Clock {
  time = START;
  now = (): number => this.time;
  delay = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
}

export interface Harness {
  url: string;
  client: ControlClient;
  anonymous: ControlClient;
  clock: ManualClock;
  store: MemoryStore;
  ledger: Ledger;
  vaultKeys: VaultKeys;
  logged: string[];
  close(): Promise<void>;
}

export async function startControl(
  vendors: readonly BudgetVendor[],
  replace: Partial<ControlDeps> | ((deps: ControlDeps) => Promise<Partial<ControlDeps>>) = {},
  policies: PolicyDocs | null = null,
): Promise<Harness> {
  const clock = new ManualClock();
  const logged: string[] = [];
  const log = createLogger({ write: (line) => logged.push(line) });
  const store = new MemoryStore({ clock, ...(policies && { policies }) });
  const ledger = openLedger({ store, clock, random: systemRandom, log });
  const vaultKeys = new VaultKeys(pepperInMemory(systemRandom));
  const deps: ControlDeps = {
    ledger,
    store,
    vendors: new Map(vendors.map((vendor) => [vendor.id, vendor])),
    vaultKeys,
    clock,
    log,
    authenticate: [adminKeyWay(hashAdminKey(ADMIN_KEY, systemRandom))],
    policies: null,
    issuers: new Issuers({ store, clock, random: systemRandom }),
    setup: null,
    retentionMs: null,
    reconcile: async () => ({ looked: 0, settled: 0, released: 0, unknown: 0, repriced: 0 }),
  };
  const app = buildControl({ ...deps, ...(typeof replace === "function" ? await replace(deps) : replace) });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    client: new ControlClient(url, ADMIN_KEY),
    anonymous: new ControlClient(url, null),
    clock,
    store,
    ledger,
    vaultKeys,
    logged,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A body that `POST /vault/keys` takes. */
export function keyBody(label: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    vendor: "stripe",
    usd_cap: 500,
    allowed_endpoints: ["POST /v1/payment_intents"],
    expires_in: "2h",
    label,
    ...more,
  };
}

export async function issueKey(
  { client }: Harness,
  label: string,
  more: Record<string, unknown> = {},
): Promise<{ keyId: string; vaultKey: string }> {
  const answer = await client.post("/vault/keys", keyBody(label, more));
  if (answer.status !== 201) throw new Error(`not issued: ${answer.text}`);
  return { keyId: String(answer.json.key_id), vaultKey: String(answer.json.vault_key) };
}

let requests = 0;

function reserveRequest(more: Partial<ReserveRequest>): ReserveRequest {
  requests += 1;
  return {
    vendor: "stripe",
    endpoint: "POST /v1/payment_intents",
    method: "POST",
    path: "/v1/payment_intents",
    canonical: `request ${requests}`,
    shield: true,
    quoteMicros: 40_000_000,
    object: null,
    currency: "usd",
    amountMinor: 4000,
    clientKey: null,
    dedupe: null,
    task: null,
    attempt: null,
    idempotent: true,
    idempotencyLifeMs: 82_800_000,
    leaseMs: 120_000,
    lookup: null,
    ...more,
  };
}

/** Drives one call through the ledger, as the data plane does, to the outcome asked for; `null` leaves it reserved. */
export async function makeCall(
  { ledger }: Harness,
  keyId: string,
  outcome: "settled" | "released" | "unknown" | null,
  more: Partial<ReserveRequest> = {},
): Promise<Call> {
  const request = reserveRequest(more);
  const reservation = await ledger.reserve(keyId, request);
  if (reservation.kind !== "forward") throw new Error("a repeat");
  if (outcome === null) return reservation.call;
  const ends: Record<typeof outcome, Outcome> = {
    settled: {
      kind: "settle",
      status: 200,
      micros: request.quoteMicros,
      pricePending: false,
      currency: "usd",
      amountMinor: 4000,
      objectId: `pi_${requests}`,
      object: null,
      receipt: null,
    },
    released: { kind: "release", status: 402, code: "declined" },
    unknown: { kind: "unknown", status: null, code: "timeout" },
  };
  return ledger.finish(keyId, reservation.call.id, reservation.send, ends[outcome]);
}

const vendors = loadVendors({
  connectors: [
    {
      ...(builtIn.find((each) => (each as { id: string }).id === "resend") as object),
      id: "other-mail",
    },
  ],
  now: () => START,
});
export const stripe = vendors.get("stripe")!;
export const resend = vendors.get("resend")!;
/** A connector of the user's own that claims Resend's bare paths. */
export const otherMail = vendors.get("other-mail")!;
