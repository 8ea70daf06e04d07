/**
 * Goal: with amount a and cap c exactly ⌊c/a⌋ calls take effect at the vendor, whatever the concurrency, and never one more.
 * Method: clients on real sockets that go on until they are refused, through a real proxy with a durable store, to emulate's
 * Stripe in a process of its own. Its books are asked at the end, and compared with the ledger's to the cent.
 * Limit: one proxy process; the amounts are those of payment intents, which are known before they are sent.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type CallAnswer, Caller, inParallel } from "../support/caller.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { intentsOf, microsOf } from "../support/stripe-books.ts";
import { startEmulate } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

const timeout = 120_000;
let stripe: VendorServer;
let proxy: RunningProxy;
beforeAll(async () => {
  stripe = await startEmulate("stripe");
  proxy = await startProxy({ vendors: { stripe } });
});
afterAll(async () => {
  await proxy?.stop();
  await stripe?.stop();
});

const issue = (label: string, cap: string): Promise<IssuedKey> =>
  proxy.issue({ vendor: "stripe", usd_cap: cap, allowed_endpoints: ["*"], label });

/** Every client sends one payment after the other, each of its own, until it is refused. */
async function exhaust(key: IssuedKey, run: string, clients: number, amount: (n: number) => number) {
  const caller = new Caller(proxy.url, clients);
  const paid: string[] = [];
  const refused: CallAnswer[] = [];
  let sent = 0;
  await inParallel(clients, clients, async () => {
    for (;;) {
      const n = sent++;
      const form = { amount: amount(n), currency: "usd", "metadata[run]": run, "metadata[n]": n };
      const answer = await caller.post("/stripe/v1/payment_intents", key.vaultKey, form);
      if (answer.status !== 200) {
        refused.push(answer);
        return;
      }
      paid.push(String(answer.json.id));
    }
  });
  caller.close();
  return { paid, refused };
}

function expectCapHit(answer: CallAnswer): void {
  expect([answer.status, answer.json.code]).toEqual([429, "cap_exhausted"]);
  expect(answer.headers).toMatchObject({
    "x-keybrake-cap-hit": "true",
    "x-keybrake-code": "cap_exhausted",
    "stripe-should-retry": "false",
  });
  expect(answer.json.error).toMatchObject({ code: "cap_exhausted", type: "rate_limit_error" });
}

async function expectBooks(key: IssuedKey, label: string, paid: readonly string[]) {
  const books = await ledgerBooks(proxy, key.keyId, label);
  const intents = await intentsOf(stripe, label);
  expect(intents.map(({ id }) => id).sort()).toEqual([...paid].sort());
  expect(books.calls.map(({ object_id }) => object_id).sort()).toEqual([...paid].sort());
  expect(books).toMatchObject({ spentMicros: microsOf(intents), reservedMicros: 0, states: { settled: paid.length } });
  return books;
}

describe("a cap of $300.00 and payments of $7.00", () => {
  it.each([1, 7, 50, 200])(
    "let exactly 42 through with %i clients, and refuse the rest",
    { timeout },
    async (clients) => {
      const label = `cap/${clients}`;
      const key = await issue(label, "300.00");
      const { paid, refused } = await exhaust(key, label, clients, () => 700);
      expect(paid).toHaveLength(42);
      expect(refused).toHaveLength(clients);
      for (const answer of refused) {
        expectCapHit(answer);
        expect(answer.headers["x-keybrake-remaining-usd"]).toBe("6.00");
      }
      const books = await expectBooks(key, label, paid);
      expect(books.refused).toHaveLength(clients);

      const caller = new Caller(proxy.url, 1);
      const last = { currency: "usd", "metadata[run]": label };
      expectCapHit(await caller.post("/stripe/v1/payment_intents", key.vaultKey, { amount: 601, ...last }));
      expect((await caller.post("/stripe/v1/payment_intents", key.vaultKey, { amount: 600, ...last })).status).toBe(
        200,
      );
      expectCapHit(await caller.post("/stripe/v1/payment_intents", key.vaultKey, { amount: 1, ...last }));
      caller.close();
      expect((await proxy.key(key.keyId)).available_micros).toBe(0);
    },
  );
});

it("payments of many sizes never pass the cap, and stop only where the next one does not fit", {
  timeout,
}, async () => {
  const label = "cap/mixed";
  const key = await issue(label, "250.00");
  const { paid, refused } = await exhaust(key, label, 40, (n) => 100 + ((n * 7919) % 900));
  for (const answer of refused) expectCapHit(answer);
  const { spentMicros, capMicros } = await expectBooks(key, label, paid);
  expect(spentMicros).toBeLessThanOrEqual(capMicros);
  // Whoever was refused needed at most $9.99.
  expect(capMicros - spentMicros).toBeLessThan(9_990_000);
});

it("50 keys that are used at once each keep to their own cap", { timeout }, async () => {
  const labels = Array.from({ length: 50 }, (_, n) => `cap/own/${n}`);
  const keys = await Promise.all(labels.map((label) => issue(label, "10.00")));
  const ends = await Promise.all(labels.map((label, n) => exhaust(keys[n]!, label, 2, () => 300)));
  for (const [n, { paid, refused }] of ends.entries()) {
    expect(paid).toHaveLength(3);
    for (const answer of refused) expectCapHit(answer);
    await expectBooks(keys[n]!, labels[n]!, paid);
  }
});

it("what the vendor declines gives its dollars back, so that exactly as many payments fit afterwards", {
  timeout,
}, async () => {
  const label = "cap/declined";
  const key = await issue(label, "50.00");
  const caller = new Caller(proxy.url, 20);
  const declined = { amount: 1000, currency: "usd", customer: "cus_nobody", "metadata[run]": label };
  await inParallel(30, 20, async (n) => {
    const answer = await caller.post("/stripe/v1/payment_intents", key.vaultKey, { ...declined, "metadata[n]": n });
    // The vendor's own refusal, or the cap while ten dollars of each of the others are held.
    expect([answer.status, answer.headers["x-keybrake-cap-hit"]]).toEqual(
      answer.status === 400 ? [400, undefined] : [429, "true"],
    );
  });
  caller.close();
  expect(await proxy.key(key.keyId)).toMatchObject({ spent_micros: 0, reserved_micros: 0 });
  const { paid } = await exhaust(key, label, 20, () => 1000);
  expect(paid).toHaveLength(5);
  const books = await ledgerBooks(proxy, key.keyId, label);
  expect([books.spentMicros, microsOf(await intentsOf(stripe, label))]).toEqual([50_000_000, 50_000_000]);
});
