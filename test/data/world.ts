/** The real server, data plane, ledger and connectors in this process, in front of a programmable upstream, over a store in memory. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock, systemRandom } from "../../service/clock.ts";
import { DataPlane, type Step } from "../../service/data/data-plane.ts";
import type { Exchange } from "../../service/data/exchange.ts";
import { defaultLimits, type Limits } from "../../service/data/limits.ts";
import { createServer, type ProxyServer } from "../../service/data/server.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { Call, KeyState, Scope } from "../../service/ledger/types.ts";
import { createLogger } from "../../service/log.ts";
import { secretReader } from "../../service/secrets/read-secret.ts";
import { VendorSecrets } from "../../service/secrets/vendor-secrets.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import type { SecretReference } from "../../service/vendor-config.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { type RawAnswer, RawSocket } from "../support/raw-socket.ts";
import { Upstream } from "../support/upstream.ts";

export const secrets: Record<string, string> = {
  stripe: "sk_test_canary/51H+Zq9=x7Tn",
  twilio: "AC0123456789abcdef0123456789abcdef:tokenCANARY9f8e7d6c5b4a",
  resend: "re_CANARY_a1b2c3d4e5f6",
};
export const accountSid = "AC0123456789abcdef0123456789abcdef";

export interface WorldOptions {
  limits?: Partial<Limits>;
  /** Wraps the real ledger, to make it fail where a test says. */
  ledger?: (real: Ledger) => Ledger;
  clock?: Clock;
  /** The user's connectors. */
  connectors?: unknown;
  /** Where vendors are; default: the upstream. */
  origin?: string;
}

export interface World {
  upstream: Upstream;
  server: ProxyServer;
  plane: DataPlane;
  ledger: Ledger;
  store: MemoryStore;
  /** Replaces a vendor's secret where it is kept; the proxy finds out when it fetches it anew. */
  rotate(vendorId: string, secret: string): void;
  port: number;
  logs: string[];
  /** Called at every step of every call. */
  onStep: ((step: Step, exchange: Exchange) => void) | null;
  /** Issues a key; $100, Stripe, every endpoint unless told otherwise. */
  issue(over?: IssueOptions): Promise<{ key: KeyState; text: string }>;
  /** The key as the store has it. */
  key(keyId: string): Promise<KeyState>;
  /** Calls and refusals, oldest first. */
  calls(keyId?: string): Promise<Call[]>;
  open(): Promise<RawSocket>;
  /** One request on a connection of its own. */
  ask(bytes: string | Buffer): Promise<RawAnswer>;
  stop(): Promise<void>;
}

export interface IssueOptions {
  capMicros?: number;
  scope?: Partial<Scope>;
  lifeMs?: number;
  label?: string;
}

export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const clock = options.clock ?? systemClock;
  const limits: Limits = { ...defaultLimits, ...options.limits };
  const logs: string[] = [];
  const log = createLogger({ write: (line: string) => void logs.push(line) }, "debug");
  const upstream = await Upstream.start();
  const store = new MemoryStore({ clock });
  const real = openLedger({ store, clock, random: systemRandom, log });
  const ledger = options.ledger?.(real) ?? real;
  const keys = new VaultKeys(new Map([[1, systemRandom.bytes(32)]]));
  const vendors = loadVendors({ connectors: options.connectors, now: () => clock.now() });
  const directory = mkdtempSync(join(tmpdir(), "keybrake-data-"));
  const rotate = (vendorId: string, secret: string): void => writeFileSync(join(directory, vendorId), secret);
  const references = new Map<string, SecretReference>();
  for (const id of vendors.keys()) {
    rotate(id, secrets[id] ?? `${id}_CANARY_secret`);
    references.set(id, { from: "file", path: join(directory, id) });
  }
  const held = new VendorSecrets({
    references,
    clock,
    log,
    read: secretReader(() => Promise.reject(new Error("no Secret Manager here"))),
  });
  for (const id of vendors.keys()) await held.get(id);
  const origins = new Map([...vendors.keys()].map((id) => [id, options.origin ?? upstream.url]));
  let world: World | null = null;
  const plane = new DataPlane({
    ledger,
    vendors,
    origins,
    secrets: held,
    keys,
    clock,
    random: systemRandom,
    log,
    limits,
    probe: (step, exchange) => world?.onStep?.(step, exchange),
  });
  const server = createServer({
    data: plane,
    // In the control plane's place: only who gets a request is tested here.
    control: (_, response) => void response.writeHead(200, { "x-plane": "control" }).end("{}"),
    log,
    limits,
    clock,
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  let labels = 0;
  world = {
    upstream,
    server,
    plane,
    ledger: real,
    store,
    rotate,
    port,
    logs,
    onStep: null,
    async issue({ capMicros = 100_000_000, scope, lifeMs = 3_600_000, label = `label-${labels++}` } = {}) {
      const { key } = await real.issue({
        owner: "admin",
        label,
        execution: null,
        asked: "{}",
        scope: { ...wideScope, ...scope },
        capMicros,
        dailyCapMicros: null,
        expiresAt: clock.now() + lifeMs,
        pepperVersion: 1,
        by: "test",
      });
      return { key, text: keys.text(key.keyId, 1) };
    },
    key: async (keyId) => (await store.read(keyId, []))!.state,
    calls: async (keyId) => (await store.listCalls(keyId ? { keyIds: [keyId] } : {}, 200, null)).items.reverse(),
    open: () => RawSocket.open(port),
    async ask(bytes) {
      const client = await RawSocket.open(port);
      client.send(bytes);
      const answer = await client.answer();
      client.socket.destroy();
      if (!answer) throw new Error("the connection ended without an answer");
      return answer;
    },
    async stop() {
      await server.stop(0);
      await plane.close();
      await upstream.stop();
      rmSync(directory, { recursive: true });
    },
  };
  return world;
}

const wideScope: Scope = {
  vendors: ["stripe"],
  allowedEndpoints: ["*"],
  accounts: [],
  perCallMicros: null,
  callsPerMinute: null,
  maxCalls: null,
  concurrency: 256,
  assumeMicros: null,
};

export interface RequestParts {
  method?: string;
  target?: string;
  key?: string;
  headers?: string[];
  body?: string | Buffer;
}

/** A request as stripe-node sends it; a $40 payment intent unless told otherwise. */
export function request({
  method = "POST",
  target = "/stripe/v1/payment_intents",
  key,
  headers = [],
  body = "amount=4000&currency=usd",
}: RequestParts): string {
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const lines = [`${method} ${target} HTTP/1.1`, "host: proxy"];
  if (key !== undefined) lines.push(`authorization: Bearer ${key}`);
  const typed = headers.some((line) => /^content-type:/i.test(line));
  if (bytes.length > 0 && !typed) lines.push("content-type: application/x-www-form-urlencoded");
  if (bytes.length > 0) lines.push(`content-length: ${bytes.length}`);
  return `${[...lines, ...headers].join("\r\n")}\r\n\r\n${bytes.toString("latin1")}`;
}

export const get = (target: string, key: string, headers: string[] = []): string =>
  request({ method: "GET", target, key, headers, body: "" });

/** The error of an answer, as JSON. */
export function errorOf(answer: RawAnswer): Record<string, unknown> {
  return JSON.parse(answer.body.toString("utf8")) as Record<string, unknown>;
}
