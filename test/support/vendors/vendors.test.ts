/**
 * Goal: the third parties' servers do what their starters' headers say, since other tests build on it.
 * Method: each is started as the tests start it and asked over HTTP, without the proxy.
 * Limit: what the servers do, not what the vendors do.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nameOf } from "../runtimes.ts";
import { type EmulatedVendor, emulatedCustomers, startEmulate, twilioAccount, twilioSender } from "./emulate.ts";
import { startStripeMock, stripeMockMissing } from "./stripe-mock.ts";
import { startStripeStatefulMock } from "./stripe-stateful-mock.ts";
import type { VendorServer } from "./vendor-server.ts";

interface Answer {
  status: number;
  headers: Headers;
  at(...path: (string | number)[]): unknown;
}

async function ask(
  server: VendorServer,
  method: string,
  target: string,
  body?: Record<string, string> | string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const basic = server.secret.includes(":");
  const response = await fetch(server.url + target, {
    method,
    headers: {
      authorization: basic ? `Basic ${Buffer.from(server.secret).toString("base64")}` : `Bearer ${server.secret}`,
      ...(typeof body === "string" && { "content-type": "application/json" }),
      ...headers,
    },
    body: typeof body === "object" ? new URLSearchParams(body) : (body ?? null),
  });
  const text = await response.text();
  const json: unknown = text === "" ? null : JSON.parse(text);
  return {
    status: response.status,
    headers: response.headers,
    at: (...path) =>
      path.reduce<unknown>((value, key) => (value as Record<string | number, unknown> | null)?.[key], json),
  };
}

describe("emulate", () => {
  const servers = {} as Record<EmulatedVendor, VendorServer>;
  beforeAll(async () => {
    for (const service of ["stripe", "twilio", "resend"] as const) servers[service] = await startEmulate(service);
  });
  afterAll(() => Promise.all(Object.values(servers).map((server) => server.stop())));

  it("makes two Stripe intents under one idempotency key, and has neither events nor a capture route", async () => {
    const body = { amount: "400", currency: "usd", customer: emulatedCustomers[0], "metadata[a]": "b" };
    const header = { "idempotency-key": "one" };
    const first = await ask(servers.stripe, "POST", "/v1/payment_intents", body, header);
    const second = await ask(servers.stripe, "POST", "/v1/payment_intents", body, header);
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.at("id")).not.toBe(first.at("id"));
    expect(second.headers.get("idempotent-replayed")).toBeNull();
    expect(first.at("status")).toBe("requires_payment_method");
    expect(first.at("metadata", "a")).toBe("b");
    expect((await ask(servers.stripe, "GET", "/v1/events")).status).toBe(404);
    const capture = await ask(servers.stripe, "POST", `/v1/payment_intents/${first.at("id")}/capture`, {});
    expect(capture.status).toBe(404);
  });

  it("confirms and cancels Stripe intents, and filters its list by created[gte] but not by created[gt]", async () => {
    const make = (): Promise<Answer> =>
      ask(servers.stripe, "POST", "/v1/payment_intents", { amount: "500", currency: "usd" });
    const confirmed = await ask(servers.stripe, "POST", `/v1/payment_intents/${(await make()).at("id")}/confirm`, {});
    expect([confirmed.at("status"), confirmed.at("amount_received")]).toEqual(["succeeded", undefined]);
    const canceled = await ask(servers.stripe, "POST", `/v1/payment_intents/${(await make()).at("id")}/cancel`, {});
    expect(canceled.at("status")).toBe("canceled");
    const future = Math.floor(Date.now() / 1000) + 1000;
    const listed = async (filter: string): Promise<unknown> =>
      (await ask(servers.stripe, "GET", `/v1/payment_intents?${filter}=${future}`)).at("data", "length");
    expect(await listed("created[gte]")).toBe(0);
    expect(await listed("created[gt]")).not.toBe(0);
  });

  it("sends a Twilio text each time it is asked, without a price, and checks the credential", async () => {
    const target = `/2010-04-01/Accounts/${twilioAccount}/Messages.json`;
    const body = { To: "+14155550100", From: twilioSender, Body: "hi" };
    const first = await ask(servers.twilio, "POST", target, body);
    const second = await ask(servers.twilio, "POST", target, body);
    expect([first.status, first.at("price"), first.at("num_segments")]).toEqual([201, null, "1"]);
    expect(second.at("sid")).not.toBe(first.at("sid"));
    expect((await ask(servers.twilio, "GET", `${target}?To=%2B14155550100`)).at("messages", "length")).toBe(2);
    const wrong = await ask({ ...servers.twilio, secret: `${twilioAccount}:wrong` }, "POST", target, body);
    expect([wrong.status, wrong.at("code")]).toEqual([401, 20003]);
  });

  it("answers the ids of the first Resend mail again under its idempotency key, without a replay header", async () => {
    const mail = JSON.stringify({ from: "a@example.com", to: ["b@example.com"], subject: "s", text: "t" });
    const first = await ask(servers.resend, "POST", "/emails", mail, { "idempotency-key": "k" });
    const second = await ask(servers.resend, "POST", "/emails", mail, { "idempotency-key": "k" });
    expect([second.status, second.at("id")]).toEqual([200, first.at("id")]);
    const other = mail.replace('"t"', '"u"');
    const mismatch = await ask(servers.resend, "POST", "/emails", other, { "idempotency-key": "k" });
    expect([mismatch.status, mismatch.at("name")]).toEqual([409, "invalid_idempotent_request"]);
    expect((await ask(servers.resend, "GET", "/emails")).at("data", "length")).toBe(1);
  });
});

describe("stripe-stateful-mock", () => {
  let server: VendorServer;
  beforeAll(async () => {
    server = await startStripeStatefulMock();
  });
  afterAll(() => server.stop());

  const charge = (source: string, key: string): Promise<Answer> =>
    ask(server, "POST", "/v1/charges", { amount: "400", currency: "usd", source }, { "idempotency-key": key });

  it("replays a charge, a decline and a 500 under their idempotency keys, with Stripe's header", async () => {
    for (const [source, status] of [
      ["tok_visa", 200],
      ["tok_chargeDeclined", 402],
      ["tok_500", 500],
    ] as const) {
      const first = await charge(source, `replay-${source}`);
      const second = await charge(source, `replay-${source}`);
      expect([first.status, second.status]).toEqual([status, status]);
      expect(first.headers.get("idempotent-replayed")).toBeNull();
      expect(second.headers.get("idempotent-replayed")).toBe("true");
    }
  });

  it("does not save a 429, and refuses another body under one key", async () => {
    await charge("tok_429", "limited");
    const second = await charge("tok_429", "limited");
    expect([second.status, second.headers.get("idempotent-replayed")]).toEqual([429, null]);
    await charge("tok_visa", "mismatch");
    const mismatch = await charge("tok_mastercard", "mismatch");
    expect([mismatch.status, mismatch.at("error", "type")]).toEqual([400, "idempotency_error"]);
  });

  it("moves along a chain of sources only under new keys, and has no payment intents", async () => {
    const chain = `tok_chargeDeclined|tok_visa|${Date.now()}`;
    expect((await charge(chain, "chain-1")).status).toBe(402);
    expect((await charge(chain, "chain-1")).status).toBe(402);
    expect((await charge(chain, "chain-2")).status).toBe(200);
    expect((await ask(server, "POST", "/v1/payment_intents", { amount: "400", currency: "usd" })).status).toBe(404);
  });
});

describe.skipIf(stripeMockMissing !== null)(nameOf("stripe-mock", stripeMockMissing), () => {
  let server: VendorServer;
  beforeAll(async () => {
    server = await startStripeMock();
  }, 320_000);
  afterAll(() => server?.stop());

  it("refuses an unknown parameter, a wrong type and JSON, and echoes what it takes", async () => {
    const create = (body: Record<string, string> | string): Promise<Answer> =>
      ask(server, "POST", "/v1/payment_intents", body);
    expect((await create({ amount: "400", currency: "usd", nonsense: "1" })).status).toBe(400);
    expect((await create({ amount: "x", currency: "usd" })).status).toBe(400);
    expect((await create('{"amount":400,"currency":"usd"}')).status).toBe(400);
    const created = await create({ amount: "400", currency: "usd" });
    expect([created.status, created.at("amount")]).toEqual([200, 400]);
  });
});
