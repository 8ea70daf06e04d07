/**
 * Goal: the command line and the real proxy fit together, from the first key to the proof at the end of a run.
 * Method: `keybrake serve` and every other command as the real executable; the vendor is a loopback server that answers
 * payment intents, and cuts the connection for one customer, so that there are unknown calls to decide.
 * Limit: one run in its order; the routes' corner cases are tested with the control plane.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ADMIN_KEY } from "./loopback-control.ts";
import { runCli } from "./run-cli.ts";
import { runHere } from "./run-here.ts";

type Json = Record<string, unknown>;

const bin = fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url));
let directory: string;
let vendor: Server;
let proxy: ChildProcess;
let env: Record<string, string>;

function startVendor(): Promise<Server> {
  let intents = 0;
  const server = createServer(async (request, response) => {
    const fields = new URLSearchParams(await text(request));
    if (fields.get("customer") === "cus_cut") {
      request.socket.destroy();
      return;
    }
    intents += 1;
    const amount = Number(fields.get("amount"));
    const body = {
      id: `pi_${intents}`,
      object: "payment_intent",
      amount,
      amount_received: amount,
      currency: "usd",
      status: "succeeded",
    };
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "keybrake-cli-"));
  vendor = await startVendor();
  const upstream = `http://127.0.0.1:${(vendor.address() as AddressInfo).port}`;
  proxy = spawn(process.execPath, [bin, "serve"], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      PORT: "0",
      KEYBRAKE_ADMIN_KEY: ADMIN_KEY,
      KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: "env:STRIPE_SECRET_KEY", upstream } }),
      STRIPE_SECRET_KEY: "sk_test_cli",
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: proxy.stdout! })) {
    const entry = JSON.parse(line) as Json;
    if (entry.message !== "listening") continue;
    env = { KEYBRAKE_URL: String(entry.url), KEYBRAKE_ADMIN_KEY: ADMIN_KEY };
    break;
  }
  proxy.stdout?.resume();
});

afterAll(async () => {
  if (proxy.exitCode === null) proxy.kill("SIGKILL");
  vendor.close();
  await rm(directory, { recursive: true, force: true });
});

async function cli(...args: string[]): Promise<Json> {
  const result = await runCli(args, { env });
  expect(result).toMatchObject({ code: 0, stderr: "" });
  return JSON.parse(result.stdout) as Json;
}

const issueArguments = [
  "keys",
  "issue",
  "--vendor",
  "stripe",
  "--usd-cap",
  "100",
  "--allow",
  "POST /v1/payment_intents",
  "--expires-in",
  "1h",
  "--label",
  "run-1",
];

async function pay(vaultKey: string, customer: string): Promise<{ status: number; code: string | null }> {
  const response = await fetch(`${env.KEYBRAKE_URL}/stripe/v1/payment_intents`, {
    method: "POST",
    headers: { authorization: `Bearer ${vaultKey}` },
    body: new URLSearchParams({ amount: "4000", currency: "usd", customer }),
  });
  await response.text();
  return { status: response.status, code: response.headers.get("x-keybrake-code") };
}

describe("a run, from the command line", () => {
  let keyId: string;
  let vaultKey: string;
  const unknowns = async (): Promise<Json[]> =>
    (await cli("audit", "--label", "run-1", "--state", "unknown")).calls as Json[];

  it("`keys issue` answers the vault key, and the same key when it is repeated", async () => {
    const key = await cli(...issueArguments);
    keyId = String(key.key_id);
    vaultKey = String(key.vault_key);
    expect(vaultKey).toMatch(/^vk_1_/);
    expect(await cli(...issueArguments)).toMatchObject({ key_id: keyId, vault_key: vaultKey });
  });

  it("another budget under the same label exits 1 with the proxy's sentence", async () => {
    const result = await runCli([...issueArguments, "--max-calls", "3"], { env });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/^keybrake: label_conflict: [^\n]+\n$/);
  });

  it("`keys show` and `keys list` follow the balance, and never show the vault key", async () => {
    expect((await pay(vaultKey, "cus_1")).status).toBe(200);
    const key = await cli("keys", "show", keyId);
    expect(key).toMatchObject({ spent_usd: "40.00", reserved_usd: "0.00", available_usd: "60.00", status: "active" });
    const list = await cli("keys", "list", "--label", "run-1");
    expect(list).toEqual({ keys: [key], next_cursor: null });
    expect(JSON.stringify([key, list])).not.toContain(vaultKey);
  });

  it("an unknown call is found by its state, and `calls settle` decides it", async () => {
    expect((await pay(vaultKey, "cus_cut")).code).toBe("outcome_unknown");
    const [call] = await unknowns();
    const settled = await cli(
      "calls",
      "settle",
      String(call?.call_id),
      "--cost-usd",
      "39.5",
      "--reason",
      "seen at the vendor",
    );
    expect(settled).toMatchObject({ state: "settled", cost_usd: "39.50" });
    expect(await cli("keys", "show", keyId)).toMatchObject({ spent_usd: "79.50", reserved_usd: "0.00" });
    const shown = await cli("calls", "show", String(call?.call_id));
    expect((shown.transitions as Json[]).at(-1)).toMatchObject({ act: "settle_by_hand", reason: "seen at the vendor" });
  });

  it("a call over the cap is refused until `keys raise`", async () => {
    expect((await pay(vaultKey, "cus_2")).code).toBe("cap_exhausted");
    expect(await cli("keys", "raise", keyId, "--usd-cap", "200")).toMatchObject({ cap_usd: "200.00" });
    expect((await pay(vaultKey, "cus_2")).status).toBe(200);
  });

  it("`calls release` gives an unknown call's reservation back", async () => {
    await pay(vaultKey, "cus_cut");
    expect(await cli("keys", "show", keyId)).toMatchObject({ spent_usd: "119.50", reserved_usd: "40.00" });
    const [call] = await unknowns();
    await cli("calls", "release", String(call?.call_id), "--reason", "not in the vendor's list");
    expect(await cli("keys", "show", keyId)).toMatchObject({ spent_usd: "119.50", reserved_usd: "0.00" });
  });

  it("`audit` has the same calls as JSON, NDJSON and CSV, with the control plane's own columns", async () => {
    const { calls } = (await cli("audit", "--label", "run-1", "--state", "settled")) as { calls: Json[] };
    expect(calls.map((call) => call.cost_usd)).toEqual(["40.00", "39.50", "40.00"]);
    const as = async (format: string) =>
      (await runCli(["audit", "--label", "run-1", "--state", "settled", "--format", format], { env })).stdout;
    expect(
      (await as("ndjson"))
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as Json),
    ).toEqual(calls);
    const served = await fetch(`${env.KEYBRAKE_URL}/audit?label=run-1&state=settled`, {
      headers: { authorization: `Bearer ${ADMIN_KEY}`, accept: "text/csv" },
    });
    expect(await as("csv")).toBe(await served.text());
  });

  it("`audit summary` is the bill", async () => {
    const { groups } = (await cli("audit", "summary", "--label", "run-1")) as { groups: Json[] };
    expect(groups).toMatchObject([{ key: "stripe", spent_usd: "119.50", settled: 3, released: 1, unknown: 0 }]);
  });

  it("a person sees tables", async () => {
    const list = await runHere(["keys", "list"], { env, terminal: true, now: Date.now() });
    expect(list.stdout).toMatch(/^KEY_ID +LABEL +STATUS +CAP +SPENT +RESERVED +AVAILABLE +EXPIRES\n/);
    expect(list.stdout).toMatch(new RegExp(`${keyId} +run-1 +active +200\\.00 +119\\.50 +0\\.00 +80\\.50 +in 59 min`));
    const show = await runHere(["keys", "show", keyId], { env, terminal: true, now: Date.now() });
    expect(show.stdout).toMatch(/^spent_usd +119\.50$/m);
    expect(show.stdout).toMatch(/^counts +calls=4, reserved=0, settled=3, released=1, unknown=0$/m);
    expect(show.stdout).not.toMatch(/_micros|\{/);
    const bill = await runHere(["audit", "--group-by", "vendor"], { env, terminal: true });
    expect(bill.stdout).toMatch(/^VENDOR +CALLS +SPENT.*\n\n*stripe +4 +119\.50/);
  });

  it("`keys pause` stops the run and `keys resume` lets it go on", async () => {
    expect(await cli("keys", "pause", keyId, "--reason", "lunch")).toMatchObject({ status: "paused", reason: "lunch" });
    expect((await pay(vaultKey, "cus_3")).code).toBe("key_paused");
    expect(await cli("keys", "resume", keyId)).toMatchObject({ status: "active" });
    expect((await pay(vaultKey, "cus_3")).status).toBe(200);
  });

  it("`reconcile` answers what it did", async () => {
    expect(await cli("reconcile")).toMatchObject({ settled: 0, released: 0, unknown: 0 });
  });

  it("`keys revoke` stops it for good", async () => {
    expect(await cli("keys", "revoke", keyId)).toMatchObject({ status: "revoked", in_flight: 0 });
    expect((await pay(vaultKey, "cus_4")).code).toBe("key_revoked");
  });

  it("`keys proof` adds up the run's whole chain, and knows the head of an earlier proof", async () => {
    const proof = await cli("keys", "proof", keyId);
    expect(proof).toMatchObject({ verified: true, fault: null, spent_usd: "159.50", reserved_usd: "0.00" });
    const { chain_head: head } = await cli("keys", "show", keyId);
    expect(proof.chain_head).toBe(head);
    expect(await cli("keys", "proof", keyId, "--head", String(head))).toEqual(proof);
    const lost = await runCli(["keys", "proof", keyId, "--head", "0".repeat(64)], { env });
    expect(lost.code).toBe(1);
  });

  it("what does not exist exits 1", async () => {
    for (const args of [
      ["keys", "show", "d".repeat(26)],
      ["calls", "show", "nothing"],
    ]) {
      const result = await runCli(args, { env });
      expect(result).toMatchObject({ code: 1, stdout: "" });
      expect(result.stderr).toMatch(/^keybrake: not_found: [^\n]+\n$/);
    }
  });

  it("SIGTERM ends `serve` with 0", async () => {
    proxy.kill("SIGTERM");
    const [code] = (await once(proxy, "exit")) as [number | null];
    expect(code).toBe(0);
  });
});

describe("`keybrake serve` with a wrong variable", () => {
  it("exits 2 and names the variable, without a stack", async () => {
    const result = await runCli(["serve"], { env: { PORT: "eighty", KEYBRAKE_STORE: "sqlite::memory:" } });
    expect(result.code).toBe(2);
    expect(result.stdout).toBe("");
    expect(result.stderr).toMatch(/PORT must be/);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });
});
