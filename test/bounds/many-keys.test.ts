/**
 * Goal: thousands of idle keys cost the proxy no exactness: a key that was pushed out of memory keeps its balance, its repeats and
 * its end.
 * Method: 2,000 keys issued over HTTP, twice as many as the ledger keeps in memory; the first ones are used before and after.
 * Limit: one process; the memory itself is for the bench to show.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Caller, inParallel } from "../support/caller.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { Upstream } from "../support/upstream.ts";
import { newIntent } from "./new-intent.ts";

const KEYS = 2_000;
const target = "/stripe/v1/payment_intents";
const labelOf = (n: number): string => `idle/${n}`;

let vendor: Upstream;
let proxy: RunningProxy;
beforeAll(async () => {
  vendor = await Upstream.start();
  vendor.otherwise = newIntent;
  proxy = await startProxy({ vendors: { stripe: { url: vendor.url, secret: "sk_test_many_keys_0123456789" } } });
});
afterAll(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

it("2,000 keys later the first ones still have their balance, their repeats, their pause and their end", {
  timeout: 180_000,
}, async () => {
  const keys: IssuedKey[] = [];
  const issue = async (n: number): Promise<void> => {
    keys[n] = await proxy.issue({ vendor: "stripe", usd_cap: "10.00", allowed_endpoints: ["*"], label: labelOf(n) });
  };
  const caller = new Caller(proxy.url, 8);
  const payment = { amount: 400, currency: "usd" };
  await inParallel(8, 8, issue);
  for (const { vaultKey } of keys) expect((await caller.post(target, `${vaultKey}~0~0`, payment)).status).toBe(200);
  await proxy.admin("POST", `/vault/keys/${keys[6]!.keyId}/pause`, { reason: "test" });
  await proxy.admin("DELETE", `/vault/keys/${keys[7]!.keyId}`);
  await inParallel(KEYS - keys.length, 8, (n) => issue(8 + n));
  expect(new Set(keys.map(({ vaultKey }) => vaultKey)).size).toBe(KEYS);

  const sent = vendor.received.length;
  expect(sent).toBe(8);
  const codeOf = async (n: number, task: string, form = payment) => {
    const { status, headers } = await caller.post(target, `${keys[n]!.vaultKey}${task}`, form);
    return [status, headers["x-keybrake-code"]];
  };
  expect(await codeOf(6, "~0~1")).toEqual([403, "key_paused"]);
  expect(await codeOf(7, "~0~1")).toEqual([401, "key_revoked"]);
  await inParallel(6, 6, async (n) => {
    expect(await codeOf(n, "~0~1")).toEqual([200, undefined]);
    expect(await codeOf(n, "~1~0")).toEqual([200, undefined]);
    expect(await codeOf(n, "~2~0")).toEqual([429, "cap_exhausted"]);
  });
  expect(vendor.received.length - sent).toBe(6);
  // All of them at once, four times each: more than the ledger holds in memory, each key exact for itself.
  await inParallel(400, 40, async (n) => {
    const index = 8 + n * 4;
    const tasks = await Promise.all([0, 1, 2, 3].map((task) => codeOf(index, `~${task}~0`)));
    expect(tasks.filter(([status]) => status === 200)).toHaveLength(2);
    expect(tasks.filter(([, code]) => code === "cap_exhausted")).toHaveLength(2);
  });
  expect(vendor.received.length - sent).toBe(6 + 800);
  caller.close();
  for (const n of [0, 5, 8, 1604]) {
    expect(await ledgerBooks(proxy, keys[n]!.keyId, labelOf(n))).toMatchObject({ spentMicros: 8_000_000 });
  }
});
