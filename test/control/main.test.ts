/**
 * Goal: `service/main.ts` as a process: starts, says where it listens, says in one sentence what keeps it from starting, keeps its
 * keys over a restart, drains and exits 0. Method: real processes on SQLite files in a temporary directory. Limit: no call to a
 * vendor succeeds here; the upstream is a port where nobody listens.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, keyBody } from "./harness.ts";

const main = fileURLToPath(new URL("../../service/main.ts", import.meta.url));

let directory: string;
let running: ChildProcess[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "keybrake-main-"));
  running = [];
});
afterEach(async () => {
  for (const child of running) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

interface Service {
  child: ChildProcess;
  out: () => string;
  err: () => string;
  /** Exit code. */
  ended: Promise<number | null>;
}

function run(env: Record<string, string> = {}): Service {
  const child = spawn(process.execPath, [main], {
    cwd: directory,
    env: {
      PATH: process.env.PATH ?? "",
      PORT: "0",
      STRIPE_SECRET_KEY: "sk_test_canary_of_stripe",
      KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:STRIPE_SECRET_KEY","upstream":"http://127.0.0.1:9"}}',
      ...env,
    },
  });
  running.push(child);
  let out = "";
  let err = "";
  child.stdout.on("data", (text: Buffer) => {
    out += text;
  });
  child.stderr.on("data", (text: Buffer) => {
    err += text;
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return { child, out: () => out, err: () => err, ended };
}

/** @returns the `url` of the listening line. */
async function listening(service: Service): Promise<string> {
  const line = () =>
    service
      .out()
      .split("\n")
      .find((text) => text.includes('"message":"listening"'));
  await expect.poll(() => line() !== undefined || service.child.exitCode !== null, { timeout: 20_000 }).toBe(true);
  const found = line();
  if (found === undefined) throw new Error(`did not listen: ${service.err()}`);
  return (JSON.parse(found) as { url: string }).url;
}

async function stop(service: Service): Promise<number | null> {
  service.child.kill("SIGTERM");
  return service.ended;
}

describe("a start", () => {
  it("prints one listening line, makes an admin key and tells it once, and exits 0 on SIGTERM", async () => {
    const first = run();
    const url = await listening(first);
    const key = /admin key.*: (kba_\S+)/.exec(first.err())?.[1];
    expect(key).toBeDefined();
    const client = new ControlClient(url, key!);
    const issued = await client.post("/vault/keys", keyBody("kept"));
    expect(issued.status).toBe(201);
    expect(await stop(first)).toBe(0);

    const second = run();
    const again = new ControlClient(await listening(second), key!);
    const same = await again.post("/vault/keys", keyBody("kept"));
    expect([same.status, same.json.vault_key]).toEqual([200, issued.json.vault_key]);
    expect(second.err()).toBe("");
    second.child.kill("SIGINT");
    expect(await second.ended).toBe(0);

    // The pepper was made before, and is told behind it.
    const lines = first.out().trim().split("\n");
    expect(lines[0]).toContain('"message":"listening"');
    expect(lines[1]).toContain("pepper made");
    expect(first.out() + second.out()).not.toMatch(/canary|kba_|vk_1_/);
    expect((await stat(join(directory, "keybrake.db.pepper"))).mode & 0o777).toBe(0o600);
    for (const file of await readdir(directory)) {
      const bytes = (await readFile(join(directory, file))).toString("latin1");
      for (const text of [key!, String(issued.json.vault_key), "canary_of_stripe"]) expect(bytes).not.toContain(text);
    }
  });

  it("serves vendors under their mount and on their bare paths, and audits what could not be sent", async () => {
    const service = run({ KEYBRAKE_STORE: "sqlite::memory:", KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    const url = await listening(service);
    expect(service.err()).toBe("");
    const client = new ControlClient(url, ADMIN_KEY);
    const { json } = await client.post("/vault/keys", keyBody("calls"));
    for (const path of ["/stripe/v1/payment_intents", "/v1/payment_intents"]) {
      const answer = await fetch(url + path, {
        method: "POST",
        headers: {
          authorization: `Bearer ${String(json.vault_key)}`,
          "content-type": "application/x-www-form-urlencoded",
        },
        body: "amount=4000&currency=usd",
      });
      expect(answer.headers.get("x-keybrake-code")).toBe("upstream_unreachable");
    }
    const calls = (await client.get("/audit?label=calls")).json.calls as { state: string; quote_usd: string }[];
    expect(calls.map(({ state, quote_usd }) => [state, quote_usd])).toEqual([
      ["released", "40.00"],
      ["released", "40.00"],
    ]);
    expect((await client.get(`/vault/keys/${String(json.key_id)}/proof`)).json.verified).toBe(true);
    expect((await client.post("/reconcile")).json).toMatchObject({ settled: 0, released: 0, unknown: 0 });
    expect(await stop(service)).toBe(0);
    expect(await readdir(directory)).toEqual([]);
  });
});

describe("what keeps it from starting is one sentence", () => {
  it.each<[string, number, Record<string, string>, RegExp]>([
    [
      "wrong variables, all at once",
      2,
      { PORT: "x", KEYBRAKE_ADMIN_KEY: "short" },
      /^keybrake: PORT .*\nkeybrake: KEYBRAKE_ADMIN_KEY .*\n$/,
    ],
    [
      "a vendor without a connector",
      2,
      { KEYBRAKE_VENDORS: '{"stripe2":{"secret":"env:STRIPE_SECRET_KEY"}}' },
      /^keybrake: KEYBRAKE_VENDORS: there is no connector `stripe2`; write `stripe`.*\n$/,
    ],
    [
      "a secret that cannot be read",
      1,
      { KEYBRAKE_VENDORS: '{"stripe":{"secret":"file:nothing"}}' },
      /^keybrake: KEYBRAKE_VENDORS: the secret of stripe \(file:nothing\) cannot be read: ENOENT.*\n$/,
    ],
    [
      "a connector file that is missing",
      2,
      { KEYBRAKE_CONNECTORS: "nothing.json" },
      /^keybrake: KEYBRAKE_CONNECTORS: nothing\.json cannot be read.*\n$/,
    ],
    [
      "connectors that are no JSON",
      2,
      { KEYBRAKE_CONNECTORS: "[x" },
      /^keybrake: KEYBRAKE_CONNECTORS: its text is not JSON .*; a valid value is .*\n$/,
    ],
    [
      "a connector that is none",
      2,
      { KEYBRAKE_CONNECTORS: '[{"id":"x"}]' },
      /^keybrake: KEYBRAKE_CONNECTORS: .*connectors\[0\].*\n$/,
    ],
    [
      "a policies file that is missing, before an admin key is made",
      2,
      { KEYBRAKE_POLICIES: "nothing.json" },
      /^keybrake: KEYBRAKE_POLICIES: nothing\.json cannot be read \(.*\); name a JSON file of policies\.\n$/,
    ],
    ["a directory that is not there", 1, { KEYBRAKE_STORE: "sqlite:nowhere/a.db" }, /^keybrake: .*nowhere\/a\.db.*\n$/],
    [
      "a host that is not ours",
      1,
      { HOST: "192.0.2.1", KEYBRAKE_ADMIN_KEY: ADMIN_KEY },
      /^keybrake: HOST, PORT: cannot listen on 192\.0\.2\.1.*\n$/,
    ],
  ])("%s: exit %i", async (_what, code, env, sentence) => {
    const service = run(env);
    expect(await service.ended).toBe(code);
    expect(service.err()).toMatch(sentence);
    expect(service.err() + service.out()).not.toContain("canary");
  });

  it("a port that is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    const service = run({ PORT: String(port), KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    expect(await service.ended).toBe(1);
    expect(service.err()).toMatch(new RegExp(`^keybrake: PORT: ${port} .* is taken.*\\n$`));
    taken.close();
  });

  it("a store that another process has", async () => {
    const first = run({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    await listening(first);
    const second = run({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    expect(await second.ended).toBe(1);
    expect(second.err()).toMatch(/^keybrake: .*keybrake\.db.*another process.*\n$/);
    expect(await stop(first)).toBe(0);
  });

  it("a pepper that is gone or another one, when the store has been used with it", async () => {
    const first = run({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    await listening(first);
    await stop(first);
    const pepper = join(directory, "keybrake.db.pepper");
    await rm(pepper);
    const second = run({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    expect(await second.ended).toBe(1);
    expect(second.err()).toMatch(/keybrake\.db\.pepper is missing/);
    await writeFile(pepper, `v1:${"ab".repeat(32)}\n`, { mode: 0o600 });
    const third = run({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
    expect(await third.ended).toBe(1);
    expect(third.err()).toMatch(/not the one that this store/);
  });
});

it("SIGTERM ends it with 0 though nobody reads its log lines any more", { timeout: 30_000 }, async () => {
  const service = run({ KEYBRAKE_STORE: "sqlite:a.db", KEYBRAKE_ADMIN_KEY: ADMIN_KEY });
  const url = await listening(service);
  service.child.stdout?.destroy();
  const bogus = await fetch(`${url}/stripe/v1/payment_intents`, { headers: { authorization: "Bearer vk_none" } });
  expect(bogus.status).toBe(401);
  service.child.kill("SIGTERM");
  const [code] = (await once(service.child, "exit")) as [number | null];
  expect(code).toBe(0);
});

it("SIGTERM while it waits for its store ends it with 0 at once, also as the first process of a container", {
  timeout: 30_000,
}, async () => {
  const asked: Socket[] = [];
  const silent = createServer((socket) => void asked.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as { port: number };
  const service = run({
    KEYBRAKE_STORE: "firestore:my-project/keybrake",
    FIRESTORE_EMULATOR_HOST: `127.0.0.1:${port}`,
    KEYBRAKE_PEPPER: "file:pepper",
  });
  await once(silent, "connection");
  service.child.kill("SIGTERM");
  // A signal that the process does not listen for ends it too, with `null`; but not the first process of a container.
  expect(await service.ended).toBe(0);
  expect(service.out()).not.toContain("listening");
  for (const socket of asked) socket.destroy();
  silent.close();
});
