/**
 * Goal: an export of everything and a proof of a long chain disturb nobody: while they are under way and nobody reads them, calls
 * and operators are answered; and they still end whole.
 * Method: a store with 20,000 calls, made by the real ledger; exports over raw sockets that stop reading in the middle, so that
 * none of them can end before the calls between have been answered; then they are read to their end.
 * Limit: order and completion only; how long the event loop is held is for the bench to show.
 */
import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import type { ReserveRequest } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import { createLogger } from "../../service/log.ts";
import { openStore } from "../../service/stores/open-store.ts";
import { Caller, inParallel } from "../support/caller.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { Upstream } from "../support/upstream.ts";
import { newIntent } from "./new-intent.ts";

const CALLS = 20_000;
const LABEL = "export/long";
let vendor: Upstream;
let proxy: RunningProxy;
let key: IssuedKey;

beforeAll(async () => {
  vendor = await Upstream.start();
  vendor.otherwise = newIntent;
  proxy = await startProxy({ vendors: { stripe: { url: vendor.url, secret: "sk_test_export_0123456789" } } });
  key = await proxy.issue({ vendor: "stripe", usd_cap: "900000.00", allowed_endpoints: ["*"], label: LABEL });
  expect(await proxy.terminate()).toBe(0);
  await fill();
  await proxy.restart();
}, 180_000);
afterAll(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

/** {@link CALLS} settled calls of one dollar. */
async function fill(): Promise<void> {
  const log = createLogger({ write: () => {} });
  const deps = { clock: systemClock, random: systemRandom, log };
  const store = await openStore(`sqlite:${proxy.storeFile}`, deps);
  const ledger = openLedger({ store, ...deps });
  await inParallel(CALLS, 200, async (n) => {
    const { call, send } = expectForward(await ledger.reserve(key.keyId, reservation(n)));
    await ledger.finish(key.keyId, call.id, send, {
      ...{ kind: "settle", status: 200, micros: 1_000_000, pricePending: false, currency: "usd", amountMinor: 100 },
      ...{ objectId: `pi_old${n}`, object: `pi_old${n}`, receipt: null },
    });
  });
  await ledger.drain(1_000);
  await store.close();
}

function expectForward(reservation: Awaited<ReturnType<ReturnType<typeof openLedger>["reserve"]>>) {
  if (reservation.kind !== "forward") throw new Error("a new call was taken for a repeat");
  return reservation;
}

function reservation(n: number): ReserveRequest {
  return {
    ...{ vendor: "stripe", endpoint: "POST /v1/payment_intents", method: "POST", path: "/v1/payment_intents" },
    ...{ canonical: `payment ${n}`, shield: true, quoteMicros: 1_000_000, object: null },
    ...{ currency: "usd", amountMinor: 100, clientKey: null, dedupe: null, task: n, attempt: 0 },
    ...{ idempotent: true, idempotencyLifeMs: 1, leaseMs: 60_000, lookup: null },
  };
}

/** An answer whose body nobody reads yet. */
async function open(target: string, accept: string): Promise<IncomingMessage> {
  const asked = request(proxy.url + target, { headers: { authorization: `Bearer ${proxy.adminKey}`, accept } });
  asked.end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  expect(response.statusCode).toBe(200);
  return response;
}

async function linesOf(response: IncomingMessage): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: response })) lines.push(line);
  expect(response.complete).toBe(true);
  return lines;
}

it("while an export, a CSV and a proof of 20,000 calls wait for their readers, calls and operators are answered", {
  timeout: 180_000,
}, async () => {
  const at = encodeURIComponent(LABEL);
  const [ndjson, csv, proof] = await Promise.all([
    open(`/audit?label=${at}`, "application/x-ndjson"),
    open(`/audit?label=${at}`, "text/csv"),
    open(`/vault/keys/${key.keyId}/proof`, "application/x-ndjson"),
  ]);
  const caller = new Caller(proxy.url, 8);
  await inParallel(100, 8, async (n) => {
    const payment = { amount: 400, currency: "usd", "metadata[n]": n };
    expect((await caller.post("/stripe/v1/payment_intents", key.vaultKey, payment)).status).toBe(200);
  });
  caller.close();
  expect(await proxy.key(key.keyId)).toMatchObject({ spent_micros: 20_400_000_000, reserved_micros: 0 });
  expect((await proxy.admin("GET", "/audit?limit=100")).body.calls).toHaveLength(100);
  for (const each of [ndjson, csv, proof]) expect(each.complete).toBe(false);

  const rows = (await linesOf(ndjson)).map((line) => JSON.parse(line) as Record<string, unknown>);
  const old = rows.filter(({ task_index }) => task_index !== null);
  expect(new Set(old.map(({ call_id }) => call_id)).size).toBe(CALLS);
  // Newest first, each row once, whatever was added meanwhile.
  expect(old.map(({ created_at }) => created_at)).toEqual(
    old.map(({ created_at }) => created_at).sort((a, b) => (String(a) < String(b) ? 1 : -1)),
  );
  expect(new Set(rows.map(({ call_id }) => call_id)).size).toBe(rows.length);
  expect((await linesOf(csv)).length).toBeGreaterThan(CALLS);

  const records = await linesOf(proof);
  const end = JSON.parse(records.at(-1)!) as Record<string, unknown>;
  expect([end.verified, end.fault]).toEqual([true, null]);
  expect(records.length).toBeGreaterThan(2 * CALLS);
});

it("an export beside a summary, a list of keys and a reconciliation all end", { timeout: 180_000 }, async () => {
  const at = encodeURIComponent(LABEL);
  const exported = open(`/audit?label=${at}`, "application/x-ndjson").then(linesOf);
  const answers = await Promise.all([
    proxy.admin("GET", `/audit/summary?label=${at}&group_by=vendor`),
    proxy.admin("GET", "/vault/keys"),
    proxy.admin("POST", "/reconcile"),
    proxy.admin("GET", `/audit?label=${at}&task_index=7`),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  const groups = answers[0]!.body.groups as Record<string, unknown>[];
  expect(groups).toHaveLength(1);
  expect(Number(groups[0]!.calls)).toBeGreaterThanOrEqual(CALLS);
  expect(answers[3]!.body.calls).toHaveLength(1);
  expect((await exported).length).toBeGreaterThanOrEqual(CALLS);
});
