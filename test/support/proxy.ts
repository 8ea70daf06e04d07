/** A real proxy: `node service/main.ts` in a process of its own, on a free port, over a SQLite file in a temporary directory or over Firestore's emulator. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ServerProcess, startServerProcess } from "./vendors/server-process.ts";

export interface ProxyOptions {
  /** Vendor id → where it is and its real secret. */
  vendors: Record<string, { url: string; secret: string }>;
  /** Further variables of the proxy. */
  env?: Record<string, string>;
  /** What node runs at each start, instead of the service's entry: a file and its arguments. */
  entry?: () => readonly string[];
  /** Default: a random one. */
  adminKey?: string;
  /** Default: a SQLite file of its own, or what the run's project says. Proxies on one database of Firestore need one pepper, too: that of the first one's directory. */
  store?: { firestore: string; emulator: string; pepper?: string };
}

export interface JsonAnswer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface IssuedKey {
  keyId: string;
  vaultKey: string;
}

export interface RunningProxy {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly pid: number;
  adminKey: string;
  /** Directory of the database and the pepper; gone after `stop`. */
  directory: string;
  /** Other instances may use its store, too. */
  sharedStore: boolean;
  /** With Firestore there is no such file. */
  storeFile: string;
  /** File with the pepper of this proxy's vault keys. */
  pepperFile: string;
  /** Control plane with the admin key; any status. */
  admin(method: string, path: string, body?: unknown): Promise<JsonAnswer>;
  /** `POST /vault/keys` with `expires_in` 1h unless given; must be 201 or 200. */
  issue(body: Record<string, unknown>): Promise<IssuedKey>;
  key(keyId: string): Promise<Record<string, unknown>>;
  /** All rows of a label, refused ones too, newest first. */
  calls(label: string): Promise<Record<string, unknown>[]>;
  logs(): string[];
  /** SIGKILL, then the same proxy again on the same files. The port changes. */
  restart(): Promise<void>;
  kill9(): Promise<void>;
  /** SIGTERM without removing the files: `restart` may follow. @returns the exit code, `null` when it had to be killed after 10 s. */
  terminate(): Promise<number | null>;
  /** Resolves when the process of this moment has ended, whoever ended it. */
  ended(): Promise<number | NodeJS.Signals>;
  /** SIGTERM; removes the files. @returns the exit code. */
  stop(): Promise<number | null>;
}

const main = fileURLToPath(new URL("../../service/main.ts", import.meta.url));

export async function startProxy(options: ProxyOptions): Promise<RunningProxy> {
  const directory = mkdtempSync(join(tmpdir(), "keybrake-test-"));
  const storeFile = join(directory, "keybrake.db");
  const store = options.store ?? (await storeOfThisRun());
  const pepperFile = store?.pepper ?? `${storeFile}.pepper`;
  const adminKey = options.adminKey ?? randomBytes(24).toString("hex");
  const env = {
    ...environment({ ...options, ...(store && { store }) }, { storeFile, pepperFile, adminKey }),
    ...options.env,
  };
  const start = (): Promise<ServerProcess> =>
    startServerProcess({
      name: "the proxy",
      command: process.execPath,
      args: [...(options.entry?.() ?? [main])],
      env,
      ready: /"message":"listening".*"url":"(http:\/\/[^"]+)"|"url":"(http:\/\/[^"]+)".*"message":"listening"/,
    });
  let server = await start().catch((error: unknown) => {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  });
  const url = (): string => server.ready[1] ?? server.ready[2]!;

  const admin = async (method: string, path: string, body?: unknown): Promise<JsonAnswer> => {
    const response = await fetch(url() + path, {
      method,
      headers: { authorization: `Bearer ${adminKey}`, "content-type": "application/json" },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Record<string, unknown>,
    };
  };

  return {
    get url() {
      return url();
    },
    get host() {
      return new URL(url()).hostname;
    },
    get port() {
      return Number(new URL(url()).port);
    },
    get pid() {
      return server.pid;
    },
    adminKey,
    directory,
    sharedStore: store !== undefined,
    storeFile,
    pepperFile,
    admin,
    issue: (body) => issue(admin, body),
    key: async (keyId) => expectOk(await admin("GET", `/vault/keys/${keyId}`)),
    calls: (label) => allCalls(admin, label),
    logs: () => server.logs(),
    restart: async () => {
      await server.kill9();
      server = await start();
    },
    kill9: () => server.kill9(),
    terminate: () => server.stop(),
    ended: () => server.ended,
    stop: async () => {
      const code = await server.stop();
      rmSync(directory, { recursive: true, force: true });
      return code;
    },
  };
}

/** The tests of the project `firestore` are those of the embedded store, run again on Firestore's emulator. */
async function storeOfThisRun(): Promise<ProxyOptions["store"]> {
  if (process.env.KEYBRAKE_TEST_STORE !== "firestore") return undefined;
  const { freshStore, sharedEmulator } = await import("./on-emulator.ts");
  return { firestore: freshStore(), emulator: await sharedEmulator() };
}

interface Places {
  storeFile: string;
  pepperFile: string;
  adminKey: string;
}

function environment({ vendors, store }: ProxyOptions, places: Places): Record<string, string> {
  const env: Record<string, string> = {
    PORT: "0",
    HOST: "127.0.0.1",
    KEYBRAKE_STORE: store?.firestore ?? `sqlite:${places.storeFile}`,
    KEYBRAKE_PEPPER: `file:${places.pepperFile}`,
    KEYBRAKE_ADMIN_KEY: places.adminKey,
    ...(store && { FIRESTORE_EMULATOR_HOST: store.emulator }),
  };
  const configured: Record<string, { secret: string; upstream: string }> = {};
  for (const [id, { url, secret }] of Object.entries(vendors)) {
    const name = `TEST_SECRET_${id.toUpperCase().replaceAll("-", "_")}`;
    env[name] = secret;
    configured[id] = { secret: `env:${name}`, upstream: url };
  }
  env.KEYBRAKE_VENDORS = JSON.stringify(configured);
  return env;
}

async function issue(admin: RunningProxy["admin"], body: Record<string, unknown>): Promise<IssuedKey> {
  const answer = expectOk(await admin("POST", "/vault/keys", { expires_in: "1h", ...body }));
  return { keyId: String(answer.key_id), vaultKey: String(answer.vault_key) };
}

async function allCalls(admin: RunningProxy["admin"], label: string): Promise<Record<string, unknown>[]> {
  const rows: Record<string, unknown>[] = [];
  let cursor: string | null = null;
  do {
    const from: string = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page = expectOk(await admin("GET", `/audit?label=${encodeURIComponent(label)}&limit=200${from}`));
    rows.push(...(page.calls as Record<string, unknown>[]));
    cursor = page.next_cursor as string | null;
  } while (cursor !== null);
  return rows;
}

function expectOk(answer: JsonAnswer): Record<string, unknown> {
  if (answer.status === 200 || answer.status === 201) return answer.body;
  throw new Error(`the control plane answered ${answer.status}: ${JSON.stringify(answer.body)}`);
}
