/**
 * Goal: the unpatched npm SDKs of Stripe, Twilio and Resend work through the proxy, and what it refuses arrives as their
 * own typed error, never as a success.
 * Method: the SDKs are pointed at a real proxy as the README says; the vendors are emulate's servers.
 * Limit: stripe 23.1.0, twilio 6.2.0 and resend 6.38.0 only; the vendors are simulated.
 */
import { Resend } from "resend";
import Stripe from "stripe";
import twilio, { RequestClient, RestException } from "twilio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mail, payment, type SceneKey, type SdkRig, startSdkRig, text, twilioAccount, vendorCount } from "./scenes.ts";

let rig: SdkRig;
beforeAll(async () => {
  rig = await startSdkRig();
});
afterAll(() => rig?.stop());

async function thrown(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    (value) => {
      throw new Error(`resolved with ${JSON.stringify(value)}`);
    },
    (error: unknown) => error,
  );
}

async function spentMicros(key: SceneKey): Promise<number> {
  return Number((await rig.proxy.key(key.keyId)).spent_micros);
}

const stripeWays = {
  "by host, port and protocol": (key: string) =>
    new Stripe(key, { host: rig.proxy.host, port: rig.proxy.port, protocol: "http" }),
  "by a mount in the host and fetch": (key: string) =>
    new Stripe(key, {
      host: `${rig.proxy.host}:${rig.proxy.port}/stripe`,
      port: rig.proxy.port,
      protocol: "http",
      httpClient: Stripe.createFetchHttpClient(),
    }),
};

describe.each(Object.entries(stripeWays))("stripe-node, pointed at the proxy %s", (_, client) => {
  it("creates a payment intent, which the ledger settles at its amount", async () => {
    const key = await rig.keyFor("stripe", "success", "node");
    const intent = await client(key.vaultKey).paymentIntents.create(payment);
    expect(intent.id).toMatch(/^pi_/);
    expect(intent.amount).toBe(4000);
    expect(await spentMicros(key)).toBe(40_000_000);
  });

  it("throws StripeRateLimitError with code cap_exhausted when the cap would be passed, and sends nothing", async () => {
    const key = await rig.keyFor("stripe", "cap", "node");
    const before = await vendorCount("stripe", rig.vendors.stripe);
    const error = await thrown(client(key.vaultKey).paymentIntents.create(payment));
    expect(error).toBeInstanceOf(Stripe.errors.StripeRateLimitError);
    const { code, statusCode, message, headers } = error as Stripe.errors.StripeRateLimitError;
    expect([code, statusCode]).toEqual(["cap_exhausted", 429]);
    expect(message).toMatch(/^cap_exhausted: /);
    expect(headers?.["x-keybrake-cap-hit"]).toBe("true");
    expect(await vendorCount("stripe", rig.vendors.stripe)).toBe(before);
  });

  it("throws StripePermissionError with code endpoint_not_allowed for a call outside the key's list", async () => {
    const key = await rig.keyFor("stripe", "endpoint", "node");
    const error = await thrown(client(key.vaultKey).customers.create({ name: "not allowed" }));
    expect(error).toBeInstanceOf(Stripe.errors.StripePermissionError);
    expect((error as Stripe.errors.StripePermissionError).code).toBe("endpoint_not_allowed");
  });

  it("throws StripeAuthenticationError for a text that is no vault key", async () => {
    const error = await thrown(client("vk_1_bogus").paymentIntents.create(payment));
    expect(error).toBeInstanceOf(Stripe.errors.StripeAuthenticationError);
    expect((error as Stripe.errors.StripeAuthenticationError).code).toBe("key_invalid");
  });
});

describe("twilio-node, pointed at the proxy by a RequestClient that rewrites its URLs", () => {
  class ThroughKeybrake extends RequestClient {
    override request<T>(options: Parameters<RequestClient["request"]>[0]): ReturnType<RequestClient["request"]> & T {
      const uri = options.uri.replace("https://api.twilio.com", `${rig.proxy.url}/twilio`);
      return super.request({ ...options, uri }) as ReturnType<RequestClient["request"]> & T;
    }
  }
  const client = (key: string) => twilio(twilioAccount, key, { httpClient: new ThroughKeybrake() });

  it("sends a text, which the ledger settles at its quote", async () => {
    const key = await rig.keyFor("twilio", "success", "node");
    const message = await client(key.vaultKey).messages.create(text);
    expect(message.sid).toMatch(/^SM/);
    expect(await spentMicros(key)).toBeGreaterThan(0);
  });

  it("throws RestException with code 20429 and reason cap_exhausted when the cap would be passed", async () => {
    const key = await rig.keyFor("twilio", "cap", "node");
    const before = await vendorCount("twilio", rig.vendors.twilio);
    const error = await thrown(client(key.vaultKey).messages.create(text));
    expect(error).toBeInstanceOf(RestException);
    const { code, status, message, details } = error as RestException;
    expect([code, status]).toEqual([20429, 429]);
    expect(message).toMatch(/^cap_exhausted: /);
    expect(details).toMatchObject({ reason: "cap_exhausted" });
    expect(await vendorCount("twilio", rig.vendors.twilio)).toBe(before);
  });

  it("throws RestException with status 403 and reason endpoint_not_allowed for a call outside the key's list", async () => {
    const key = await rig.keyFor("twilio", "endpoint", "node");
    const error = await thrown(client(key.vaultKey).messages.list({ limit: 1 }));
    expect(error).toBeInstanceOf(RestException);
    const { status, message, details } = error as RestException;
    expect(status).toBe(403);
    expect(message).toMatch(/^endpoint_not_allowed: /);
    expect(details).toMatchObject({ reason: "endpoint_not_allowed" });
  });
});

describe("resend-node, pointed at the proxy by RESEND_BASE_URL", () => {
  const client = (key: string) => {
    process.env.RESEND_BASE_URL = `${rig.proxy.url}/resend`;
    return new Resend(key);
  };

  it("sends a mail, which the ledger settles at its recipients' price", async () => {
    const key = await rig.keyFor("resend", "success", "node");
    const { data, error } = await client(key.vaultKey).emails.send(mail);
    expect(error).toBeNull();
    expect(data?.id).toBeTruthy();
    expect(await spentMicros(key)).toBe(20 * 900);
  });

  it("gives an error named daily_quota_exceeded with cap_exhausted when the cap would be passed", async () => {
    const key = await rig.keyFor("resend", "cap", "node");
    const before = await vendorCount("resend", rig.vendors.resend);
    const { data, error } = await client(key.vaultKey).emails.send(mail);
    expect(data).toBeNull();
    expect(error).toMatchObject({ name: "daily_quota_exceeded", statusCode: 429 });
    expect(error?.message).toMatch(/^cap_exhausted: /);
    expect(await vendorCount("resend", rig.vendors.resend)).toBe(before);
  });

  it("gives an error with endpoint_not_allowed for a call outside the key's list", async () => {
    const key = await rig.keyFor("resend", "endpoint", "node");
    const { data, error } = await client(key.vaultKey).domains.list();
    expect(data).toBeNull();
    expect(error).toMatchObject({ statusCode: 403 });
    expect(error?.message).toMatch(/^endpoint_not_allowed: /);
  });
});
