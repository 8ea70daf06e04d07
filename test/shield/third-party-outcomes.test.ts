/**
 * Goal: what a vendor answers ends in the ledger state that ARCHITECTURE.md's table gives for it.
 * Method: raw requests through a real proxy to servers that others wrote: emulate, stripe-stateful-mock, stripe-mock.
 * Limit: the answers that these servers can give; resets, timeouts and cut bodies are in `vendor-failures` and test/data.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { nameOf } from "../support/runtimes.ts";
import { startEmulate, twilioAccount, twilioSender } from "../support/vendors/emulate.ts";
import { startStripeMock, stripeMockMissing } from "../support/vendors/stripe-mock.ts";
import { startStripeStatefulMock } from "../support/vendors/stripe-stateful-mock.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

interface Outcome {
  status: number;
  headers: Headers;
  body: unknown;
  states: unknown[];
  spent: number;
  reserved: number;
}

let scenes = 0;

/** Sends one request under a key of its own, and reads what the ledger made of it. */
async function send(
  proxy: RunningProxy,
  vendor: string,
  endpoint: string,
  body: Record<string, string> | string,
  headers: Record<string, string> = {},
): Promise<Outcome> {
  const label = `outcome/${scenes++}`;
  const key = await proxy.issue({ vendor, usd_cap: "100.00", allowed_endpoints: [endpoint], label });
  const basic = Buffer.from(`${twilioAccount}:${key.vaultKey}`).toString("base64");
  const response = await fetch(`${proxy.url}/${vendor}${endpoint.slice("POST ".length)}`, {
    method: "POST",
    headers: {
      authorization: vendor === "twilio" ? `Basic ${basic}` : `Bearer ${key.vaultKey}`,
      ...(typeof body === "string" && { "content-type": "application/json" }),
      ...headers,
    },
    body: typeof body === "string" ? body : new URLSearchParams(body),
  });
  const answer: unknown = await response.json();
  const state = await proxy.key(key.keyId);
  const calls = (await proxy.calls(label)).filter((call) => call.state !== "refused");
  return {
    status: response.status,
    headers: response.headers,
    body: answer,
    states: calls.map((call) => call.state),
    spent: Number(state.spent_micros),
    reserved: Number(state.reserved_micros),
  };
}

const FOUR_DOLLARS = 4_000_000;

describe("stripe-stateful-mock", () => {
  let vendor: VendorServer;
  let proxy: RunningProxy;
  beforeAll(async () => {
    vendor = await startStripeStatefulMock();
    proxy = await startProxy({ vendors: { stripe: vendor } });
  });
  afterAll(async () => {
    await proxy?.stop();
    await vendor?.stop();
  });

  it.each([
    ["a charge is settled at its amount", "400", "tok_visa", 200, "settled", FOUR_DOLLARS, 0],
    ["a decline is released", "400", "tok_chargeDeclined", 402, "released", 0, 0],
    ["the vendor's own limiter is released", "400", "tok_429", 429, "released", 0, 0],
    ["an amount that the vendor refuses is released", "10", "tok_visa", 400, "released", 0, 0],
    ["a 500 is unknown, and its dollars stay reserved", "400", "tok_500", 500, "unknown", 0, FOUR_DOLLARS],
  ] as const)("%s", async (_, amount, source, status, state, spent, reserved) => {
    const outcome = await send(proxy, "stripe", "POST /v1/charges", { amount, currency: "usd", source });
    expect(outcome).toMatchObject({ status, states: [state], spent, reserved });
    expect(outcome.headers.get("x-keybrake-cap-hit")).toBeNull();
    expect(outcome.headers.get("x-keybrake-call")).toBeTruthy();
  });
});

describe("emulate", () => {
  let stripe: VendorServer;
  let twilio: VendorServer;
  let resend: VendorServer;
  let proxy: RunningProxy;
  beforeAll(async () => {
    [stripe, twilio, resend] = await Promise.all([
      startEmulate("stripe"),
      startEmulate("twilio"),
      startEmulate("resend"),
    ]);
    proxy = await startProxy({ vendors: { stripe, twilio, resend } });
  });
  afterAll(async () => {
    await proxy?.stop();
    await Promise.all([stripe, twilio, resend].map((vendor) => vendor?.stop()));
  });

  const messages = `POST /2010-04-01/Accounts/${twilioAccount}/Messages.json`;
  const mail = { from: "a@example.com", to: ["b@example.com"], subject: "s", text: "t" };

  it("a payment intent sent as JSON is settled at its amount", async () => {
    const body = JSON.stringify({ amount: 400, currency: "usd" });
    const outcome = await send(proxy, "stripe", "POST /v1/payment_intents", body);
    expect(outcome).toMatchObject({ status: 200, states: ["settled"], spent: FOUR_DOLLARS, reserved: 0 });
  });

  it("a payment intent of an unknown customer is released", async () => {
    const body = { amount: "400", currency: "usd", customer: "cus_unknown" };
    const outcome = await send(proxy, "stripe", "POST /v1/payment_intents", body);
    expect(outcome).toMatchObject({ status: 400, states: ["released"], spent: 0, reserved: 0 });
    expect(outcome.body).toMatchObject({ error: { code: "resource_missing" } });
  });

  it("a text from a number that is not the account's is released", async () => {
    const body = { To: "+14155550100", From: "+14155550199", Body: "hi" };
    const outcome = await send(proxy, "twilio", messages, body);
    expect(outcome.status).toBeGreaterThanOrEqual(400);
    expect(outcome).toMatchObject({ states: ["released"], spent: 0, reserved: 0 });
  });

  it("a text is settled at its quote while its price is not known", async () => {
    const body = { To: "+14155550100", From: twilioSender, Body: "hi" };
    const outcome = await send(proxy, "twilio", messages, body);
    expect(outcome).toMatchObject({ status: 201, states: ["settled"], reserved: 0 });
    expect(outcome.spent).toBeGreaterThan(0);
  });

  it("a mail is settled at its recipients' price, one without a subject is released", async () => {
    const sent = await send(proxy, "resend", "POST /emails", JSON.stringify(mail));
    expect(sent).toMatchObject({ status: 200, states: ["settled"], spent: 900, reserved: 0 });
    const { subject: _, ...incomplete } = mail;
    const refused = await send(proxy, "resend", "POST /emails", JSON.stringify(incomplete));
    expect(refused).toMatchObject({ status: 422, states: ["released"], spent: 0, reserved: 0 });
  });

  it("a secret that the vendor rejects is released, and its answer is not passed on", async () => {
    const wrong = await startProxy({
      vendors: { twilio: { url: twilio.url, secret: `${twilioAccount}:wrong-token` } },
    });
    try {
      const body = { To: "+14155550100", From: twilioSender, Body: "hi" };
      const outcome = await send(wrong, "twilio", messages, body);
      expect(outcome).toMatchObject({ status: 502, states: ["released"], spent: 0, reserved: 0 });
      expect(outcome.body).toMatchObject({ details: { reason: "vendor_credential_rejected" } });
    } finally {
      await wrong.stop();
    }
  });
});

describe.skipIf(stripeMockMissing !== null)(nameOf("stripe-mock", stripeMockMissing), () => {
  let vendor: VendorServer;
  let proxy: RunningProxy;
  beforeAll(async () => {
    vendor = await startStripeMock();
    proxy = await startProxy({ vendors: { stripe: vendor } });
  }, 320_000);
  afterAll(async () => {
    await proxy?.stop();
    await vendor?.stop();
  });

  it("takes the form that the proxy makes of a JSON body with nested fields and lists", async () => {
    const body = JSON.stringify({
      amount: 400,
      currency: "usd",
      confirm: false,
      description: "Größe & Maß = 100%",
      metadata: { order: "42", "a b": "c" },
      payment_method_types: ["card", "link"],
      shipping: { name: "A", address: { line1: "1 Main St", country: "US" } },
    });
    const outcome = await send(proxy, "stripe", "POST /v1/payment_intents", body);
    expect(outcome).toMatchObject({ status: 200, states: ["settled"], spent: FOUR_DOLLARS });
  });

  it("refuses a parameter that Stripe does not have, and the call is released", async () => {
    const body = { amount: "400", currency: "usd", nonsense: "1" };
    const outcome = await send(proxy, "stripe", "POST /v1/payment_intents", body);
    expect(outcome).toMatchObject({ status: 400, states: ["released"], spent: 0, reserved: 0 });
  });
});
