/**
 * Goal: the bundle is the service: in a directory with nothing beside it, by `node main.mjs`, it starts, serves, keeps its books over
 * a restart, drains, and says what keeps it from starting, as the sources do; what a store does not need it does not load.
 * Method: one bundle in a temporary directory, whose processes are taken through one life on the embedded store, and through the
 * same on the Firestore emulator, there also with secrets in Secret Manager, callers with ID tokens and a job that is launched.
 * Limit: it runs on this machine's Node; Google's base image was not asked. How long a start takes is the bench's to say.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { startLocalCloud } from "../../examples/local-cloud/local-cloud.ts";
import { describeOnEmulator } from "../support/on-emulator.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { json, Upstream } from "../support/upstream.ts";
import { recordedModules, recordModules } from "./loaded-modules.ts";
import { startOtlpReceiver } from "./otlp-receiver.ts";

const script = fileURLToPath(new URL("../../service/bundle.ts", import.meta.url));
const timeout = 60_000;

let home: string;
let main: string;
let modules: string;
let vendor: Upstream;
let proxy: RunningProxy | null = null;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "keybrake-bundle-"));
  // As `npm run bundle` does: inside a test's process the modules would be those of the test runner.
  const child = spawn(process.execPath, [script, join(home, "service")], { stdio: "inherit" });
  expect(await once(child, "close")).toEqual([0, null]);
  main = join(home, "service", "main.mjs");
});
afterAll(() => rmSync(home, { recursive: true, force: true }));
beforeEach(async () => {
  vendor = await Upstream.start();
  vendor.otherwise = (socket, received) => {
    const id = `pi_${vendor.received.length}`;
    const intent = { id, amount: 4000, amount_received: 4000, currency: "usd", status: "succeeded" };
    json(200, intent)(socket, received);
  };
  modules = join(mkdtempSync(join(home, "modules-")), "urls");
});
afterEach(async () => {
  await proxy?.stop();
  proxy = null;
  await vendor.stop();
});

async function start(env: Record<string, string> = {}): Promise<RunningProxy> {
  proxy = await startProxy({
    vendors: { stripe: { url: vendor.url, secret: "sk_test_bundle_0123456789" } },
    env,
    entry: () => [...recordModules(modules), main],
  });
  return proxy;
}

async function pay({ url }: RunningProxy, vaultKey: string, name: string): Promise<number> {
  const response = await fetch(`${url}/stripe/v1/payment_intents`, {
    method: "POST",
    headers: { authorization: `Bearer ${vaultKey}`, "idempotency-key": name },
    body: new URLSearchParams({ amount: "4000", currency: "usd" }),
  });
  expect(await response.json()).toMatchObject({ id: expect.stringMatching(/^pi_/) });
  return response.status;
}

/** Issue, pay, drain; start again on the same store, repeat, pay once more, read the books. */
async function liveTwice(running: RunningProxy): Promise<void> {
  const body = { vendor: "stripe", usd_cap: "100.00", allowed_endpoints: ["*"], label: "bundle" };
  const { keyId, vaultKey } = await running.issue(body);
  expect(await pay(running, vaultKey, "first")).toBe(200);
  expect(await running.terminate()).toBe(0);
  await running.restart();
  expect(await running.issue(body)).toEqual({ keyId, vaultKey });
  expect(await pay(running, vaultKey, "first")).toBe(200);
  expect(await pay(running, vaultKey, "second")).toBe(200);
  expect(vendor.received).toHaveLength(2);
  expect(await running.key(keyId)).toMatchObject({ spent_micros: 80_000_000, reserved_micros: 0 });
  expect((await running.calls("bundle")).map(({ state }) => state)).toEqual(["settled", "settled"]);
  expect((await running.admin("GET", `/vault/keys/${keyId}/proof`)).status).toBe(200);
  expect((await running.admin("GET", "/openapi.json")).status).toBe(200);
  expect(await running.terminate()).toBe(0);
}

/** Texts of the bundle's files that a process has loaded; all that it loads is node's own or of the bundle. */
function loadedText(): string {
  const urls = [...new Set(recordedModules(modules))].filter((url) => url.startsWith("file:"));
  const files = urls.map((url) => fileURLToPath(url));
  expect(new Set(files.map((file) => dirname(file)))).toEqual(new Set([join(home, "service")]));
  return files.map((file) => readFileSync(file, "utf8")).join("\n");
}

/** Comments of the bundler say where a part of it comes from. */
const has = (text: string, name: string): boolean => text.includes(`node_modules/${name}/`);

it("stands alone: no package is near it, and its chunks are all there is", () => {
  for (let at = home; ; at = dirname(at)) {
    expect(existsSync(join(at, "node_modules"))).toBe(false);
    if (at === dirname(at)) break;
  }
  const files = readdirSync(join(home, "service"));
  expect(files).toEqual(expect.arrayContaining(["main.mjs", "sqlite-thread.mjs"]));
  expect(files.every((name) => /\.mjs(?:\.LEGAL\.txt)?$/.test(name))).toBe(true);
});

it("lives and lives again on the embedded store, without loading what is for Google Cloud", { timeout }, async () => {
  await liveTwice(await start());
  const text = loadedText();
  expect(has(text, "express")).toBe(true);
  for (const name of ["@google-cloud/firestore-api", "@grpc/grpc-js", "google-gax", "@opentelemetry/api"]) {
    expect([name, has(text, name)]).toEqual([name, false]);
  }
});

it("sends metrics", { timeout }, async () => {
  const receiver = await startOtlpReceiver();
  const running = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
  const body = { vendor: "stripe", usd_cap: "100.00", allowed_endpoints: ["*"], label: "bundle/metrics" };
  const { vaultKey } = await running.issue(body);
  expect(await pay(running, vaultKey, "first")).toBe(200);
  expect(await running.terminate()).toBe(0);
  expect(receiver.total("keybrake.spent_micros")).toBe(40_000_000);
  await receiver.stop();
});

const pepper = () => ({ KEYBRAKE_PEPPER: `file:${join(dirname(modules), "pepper")}` });

it.each([
  {
    why: "a wrong variable",
    env: { PORT: "eighty", KEYBRAKE_STORE: "sqlite::memory:" },
    code: 2,
    said: /^keybrake: PORT must be a whole number [^\n]*\n$/,
  },
  {
    why: "a Firestore that is not reached",
    env: { KEYBRAKE_STORE: "firestore:my-project/keybrake", FIRESTORE_EMULATOR_HOST: "127.0.0.1:9" },
    code: 1,
    said: /^keybrake: Firestore cannot be reached [^\n]*\n$/,
  },
])("says in one sentence that $why keeps it from listening, and ends", { timeout }, async ({ env, code, said }) => {
  const { PATH } = process.env;
  const child = spawn(process.execPath, [main], { cwd: home, env: { PATH, PORT: "0", ...pepper(), ...env } });
  let [out, err] = ["", ""];
  child.stdout.on("data", (text: Buffer) => {
    out += text;
  });
  child.stderr.on("data", (text: Buffer) => {
    err += text;
  });
  expect(await once(child, "close")).toEqual([code, null]);
  expect(err).toMatch(said);
  expect(out).not.toContain("listening");
});

describeOnEmulator("on Firestore", (emulator) => {
  // The emulator's first answer, while Java loads its classes, may take longer than the store waits.
  beforeAll(async () => {
    await fetch(`http://${emulator.host}/v1/projects/warm-up/databases/(default)/documents/a/b`);
  });
  const environment = (host = emulator.host): Record<string, string> => ({
    FIRESTORE_EMULATOR_HOST: host,
    KEYBRAKE_STORE: emulator.freshStore(),
    ...pepper(),
  });

  it("lives and lives again, without loading the embedded store's thread", { timeout }, async () => {
    await liveTwice(await start(environment()));
    const text = loadedText();
    expect(has(text, "@grpc/grpc-js")).toBe(true);
    expect(text).not.toContain("sqlite-thread.ts runs as a worker thread only");
  });

  it("exits 0 by itself after SIGTERM though a call is at its vendor, and Firestore keeps what became of it", {
    timeout,
  }, async () => {
    const running = await start(environment());
    const body = { vendor: "stripe", usd_cap: "100.00", allowed_endpoints: ["*"], label: "bundle/held" };
    const { keyId, vaultKey } = await running.issue(body);
    vendor.otherwise = () => {};
    const held = pay(running, vaultKey, "held").catch(() => "cut");
    await vendor.whenReceived(1);
    // Null when it had to be killed after 10 s.
    expect(await running.terminate()).toBe(0);
    expect(await held).toBe("cut");
    await running.restart();
    expect(await running.key(keyId)).toMatchObject({ spent_micros: 0, reserved_micros: 40_000_000 });
    expect(await running.calls("bundle/held")).toMatchObject([{ state: "unknown" }]);
  });

  it("launches a job for a caller with an ID token, its secret and its pepper in Secret Manager", {
    timeout,
  }, async () => {
    const logFile = join(dirname(modules), "tasks.log");
    const logFd = openSync(logFile, "a");
    const cloud = await startLocalCloud({ logFd });
    try {
      const secret = "sk_test_in_secret_manager_0123456789";
      const secretOf = (name: string) => `projects/${cloud.project}/secrets/${name}`;
      cloud.addSecretVersion(secretOf("stripe"), secret);
      cloud.createSecret(secretOf("pepper"));
      const own = environment();
      const audience = "keybrake/local-project/us-central1/bundle";
      const running = await start({
        ...own,
        KEYBRAKE_PEPPER: secretOf("pepper"),
        KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: secretOf("stripe"), upstream: vendor.url } }),
        KEYBRAKE_AUDIENCE: audience,
        KEYBRAKE_GOOGLE_APIS: cloud.url,
        GOOGLE_SDK_NODE_LOGGING: "all",
      });
      const account = "tasks@local-project.iam.gserviceaccount.com";
      const scheduler = "scheduler@local-project.iam.gserviceaccount.com";
      await writePolicy(emulator.host, own.KEYBRAKE_STORE!, "nightly", {
        version: 1,
        job: { project: cloud.project, location: cloud.location, service_account: account },
        principal_ids: [account, scheduler],
        principals: [
          { email: account, may: ["claim"] },
          { email: scheduler, may: ["launch"] },
        ],
        budget: { vendors: ["stripe"], allowed_endpoints: ["*"], usd_cap: "100.00", expires_in: "2h" },
      });
      // Claims what it was launched with, as a task that knows nothing of it would.
      const task = `
        const asked = (path, key, body) =>
          fetch(process.env.KEYBRAKE_URL + path, { method: "POST", headers: { authorization: "Bearer " + key }, body });
        const query = "identity?format=full&audience=" + encodeURIComponent("${audience}");
        const token = await (await fetch("http://" + process.env.GCE_METADATA_HOST +
          "/computeMetadata/v1/instance/service-accounts/default/" + query, { headers: { "metadata-flavor": "Google" } })).text();
        const path = "/jobs/nightly/executions/" + process.env.CLOUD_RUN_EXECUTION + "/claim";
        const { vault_key } = await (await asked(path, token)).json();
        if (vault_key !== process.env.STRIPE_SECRET_KEY) process.exit(3);
        const paid = await asked("/stripe/v1/payment_intents", vault_key, new URLSearchParams({ amount: "4000", currency: "usd" }));
        process.exit(paid.status === 200 ? 0 : 4);`;
      cloud.setJob("nightly", {
        ...{ serviceAccount: account, tasks: 1, parallelism: 1, maxRetries: 0, taskTimeoutMs: 30_000 },
        containers: [
          {
            ...{ name: null, args: [], env: { PATH: process.env.PATH ?? "", KEYBRAKE_URL: running.url } },
            command: [process.execPath, "--input-type=module", "-e", task],
          },
        ],
      });
      const launched = await fetch(`${running.url}/jobs/nightly/executions`, {
        method: "POST",
        headers: { authorization: `Bearer ${cloud.idToken(scheduler, audience)}` },
      });
      const { execution, key_id: keyId } = (await launched.json()) as Record<string, string>;
      expect([launched.status, execution]).toEqual([201, expect.stringMatching(/^nightly-/)]);
      expect(await cloud.ended(execution!)).toMatchObject({ succeeded: 1, failed: [] });
      expect(vendor.received).toHaveLength(1);
      expect(await running.calls(execution!)).toMatchObject([{ state: "settled", key_id: keyId }]);
      expect(await running.terminate()).toBe(0);
      expect(running.logs().join("\n")).not.toMatch(new RegExp(`${secret}|vk_1_|eyJ`));
      const text = loadedText();
      for (const name of ["@google-cloud/secret-manager", "google-auth-library", "@googleapis/run"]) {
        expect([name, has(text, name)]).toEqual([name, true]);
      }
    } finally {
      await cloud.close();
      closeSync(logFd);
    }
  });

  it("ends by itself after SIGTERM though Firestore is gone, and what was reserved stays reserved", {
    timeout,
  }, async () => {
    const relay = await startRelay(emulator.host);
    const running = await start(environment(relay.host));
    const body = { vendor: "stripe", usd_cap: "100.00", allowed_endpoints: ["*"], label: "bundle/gone" };
    const { keyId, vaultKey } = await running.issue(body);
    vendor.otherwise = () => {};
    const held = pay(running, vaultKey, "held").catch(() => "cut");
    await vendor.whenReceived(1);
    relay.cut(true);
    expect(await running.terminate()).not.toBeNull();
    expect(await held).toBe("cut");
    relay.cut(false);
    await running.restart();
    expect(await running.key(keyId)).toMatchObject({ spent_micros: 0, reserved_micros: 40_000_000 });
    await running.terminate();
    await relay.stop();
  });
});

/** As whoever deploys the proxy writes it: a document of the store. */
async function writePolicy(host: string, store: string, id: string, policy: object): Promise<void> {
  const [project, database] = store.replace("firestore:", "").split("/");
  const response = await fetch(`http://${host}/v1/projects/${project}/databases/${database}/documents/policies/${id}`, {
    method: "PATCH",
    headers: { authorization: "Bearer owner", "content-type": "application/json" },
    body: JSON.stringify({ fields: fieldsOf(policy) }),
  });
  expect(response.status).toBe(200);
}

const fieldsOf = (object: object): object =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, fieldOf(value)]));

function fieldOf(value: unknown): object {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { integerValue: String(value) };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(fieldOf) } };
  return { mapValue: { fields: fieldsOf(value as object) } };
}

/** A hop before the emulator that can be cut. */
async function startRelay(target: string) {
  const sockets = new Set<Socket>();
  let cut = false;
  const server = createServer((client) => {
    if (cut) return void client.destroy();
    const [host, port] = target.split(":");
    const onward = connect(Number(port), host);
    for (const socket of [client, onward]) {
      sockets.add(socket);
      socket.on("error", () => {}).on("close", () => [client, onward].map((each) => each.destroy()));
    }
    client.pipe(onward).pipe(client);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const drop = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut(now: boolean): void {
      cut = now;
      if (now) drop();
    },
    stop: async () => {
      drop();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
