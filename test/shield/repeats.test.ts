/**
 * Goal: a Cloud Run task that dies after its call and runs again, and an SDK that retries by itself, pay and text once.
 * Method: the real npm SDKs with the random idempotency keys that they make, through a real proxy, to emulate's servers,
 * which know no idempotency at all (Stripe, Twilio): what is not caught by the proxy is a second object in their books.
 * Limit: one proxy process and one store; simulated vendors.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Stripe from "stripe";
import { RestException } from "twilio";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { startEmulate, twilioSender } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";
import { intents, texts } from "./books.ts";
import { stripeOf, twilioOf } from "./clients.ts";
import { type Cutter, startCutter } from "./cutter.ts";

let stripe: VendorServer;
let twilio: VendorServer;
/** Between the proxy and Twilio. */
let twilioLine: Cutter;
let proxy: RunningProxy;
/** Between the SDKs and the proxy. */
let proxyLine: Cutter;
let scenes = 0;

beforeAll(async () => {
  [stripe, twilio] = await Promise.all([startEmulate("stripe"), startEmulate("twilio")]);
  twilioLine = await startCutter(twilio.url);
  proxy = await startProxy({ vendors: { stripe, twilio: { url: twilioLine.url, secret: twilio.secret } } });
  proxyLine = await startCutter(proxy.url);
});
afterAll(async () => {
  await proxyLine?.stop();
  await proxy?.stop();
  await twilioLine?.stop();
  await Promise.all([stripe?.stop(), twilio?.stop()]);
});
afterEach(() => {
  proxyLine.cutAnswers(0);
  proxyLine.cutRequests(0);
  twilioLine.cutAnswers(0);
});

interface Scene extends IssuedKey {
  label: string;
}

async function newScene(vendor: "stripe" | "twilio"): Promise<Scene> {
  const label = `shield/${vendor}/${scenes++}`;
  const endpoint =
    vendor === "stripe" ? "POST /v1/payment_intents" : "POST /2010-04-01/Accounts/{AccountSid}/Messages.json";
  const key = await proxy.issue({ vendor, usd_cap: "100.00", allowed_endpoints: [endpoint], label });
  return { ...key, label };
}

const paymentOf = (scene: Scene) => ({ amount: 400, currency: "usd", metadata: { scene: scene.label } });
const paidMicros = 4_000_000;

async function sums(scene: Scene): Promise<{ spent: unknown; reserved: unknown; states: unknown[] }> {
  const key = await proxy.key(scene.keyId);
  const calls = (await proxy.calls(scene.label)).filter((call) => call.state !== "refused");
  return { spent: key.spent_micros, reserved: key.reserved_micros, states: calls.map((call) => call.state) };
}

describe("a task that runs again with another random key", () => {
  it("gets the first attempt's payment intent, and the customer is charged once", async () => {
    const scene = await newScene("stripe");
    const first = await stripeOf(proxy.url, scene.vaultKey, 7, 0).paymentIntents.create(paymentOf(scene));
    const again = await stripeOf(proxy.url, scene.vaultKey, 7, 1).paymentIntents.create(paymentOf(scene));
    const third = await stripeOf(proxy.url, scene.vaultKey, 7, 2).paymentIntents.create(paymentOf(scene));
    expect([again.id, third.id]).toEqual([first.id, first.id]);
    expect(await intents(stripe, scene.label)).toEqual([first.id]);
    expect(await sums(scene)).toEqual({ spent: paidMicros, reserved: 0, states: ["settled"] });
  });

  it("is not taken for another task that sends the same payment", async () => {
    const scene = await newScene("stripe");
    const seventh = await stripeOf(proxy.url, scene.vaultKey, 7, 0).paymentIntents.create(paymentOf(scene));
    const eighth = await stripeOf(proxy.url, scene.vaultKey, 8, 0).paymentIntents.create(paymentOf(scene));
    expect(eighth.id).not.toBe(seventh.id);
    expect(await sums(scene)).toMatchObject({ spent: 2 * paidMicros, states: ["settled", "settled"] });
  });

  it("is not known without its context in the key: then a random key is a payment of its own, so the first test can fail", async () => {
    const scene = await newScene("stripe");
    const { hostname, port } = new URL(proxy.url);
    for (let process = 0; process < 2; process++) {
      await new Stripe(scene.vaultKey, { host: hostname, port, protocol: "http" }).paymentIntents.create(
        paymentOf(scene),
      );
    }
    expect(await intents(stripe, scene.label)).toHaveLength(2);
  });

  it("gets the first attempt's payment after the proxy was killed and started again", async () => {
    const scene = await newScene("stripe");
    const first = await stripeOf(proxy.url, scene.vaultKey, 7, 0).paymentIntents.create(paymentOf(scene));
    await proxy.restart();
    await proxyLine.stop();
    proxyLine = await startCutter(proxy.url);
    const again = await stripeOf(proxy.url, scene.vaultKey, 7, 1).paymentIntents.create(paymentOf(scene));
    expect(again.id).toBe(first.id);
    expect(await intents(stripe, scene.label)).toEqual([first.id]);
  });
});

describe("stripe-node's own retry", () => {
  it("after a reset that lost the answer gets the payment that was made", async () => {
    const scene = await newScene("stripe");
    const before = proxyLine.cuts;
    proxyLine.cutAnswers(1);
    const intent = await stripeOf(proxyLine.url, scene.vaultKey, 7, 0).paymentIntents.create(paymentOf(scene));
    expect(proxyLine.cuts).toBe(before + 1);
    expect(await intents(stripe, scene.label)).toEqual([intent.id]);
    expect(await sums(scene)).toEqual({ spent: paidMicros, reserved: 0, states: ["settled"] });
  });

  it("after a reset that lost the request makes the payment once", async () => {
    const scene = await newScene("stripe");
    const before = proxyLine.cuts;
    proxyLine.cutRequests(1);
    const intent = await stripeOf(proxyLine.url, scene.vaultKey, 7, 0).paymentIntents.create(paymentOf(scene));
    expect(proxyLine.cuts).toBe(before + 1);
    expect(await intents(stripe, scene.label)).toEqual([intent.id]);
  });

  it("is not taken for a second payment that the same attempt means: both are made", async () => {
    const scene = await newScene("stripe");
    const client = stripeOf(proxy.url, scene.vaultKey, 7, 0);
    const first = await client.paymentIntents.create(paymentOf(scene));
    const second = await client.paymentIntents.create(paymentOf(scene));
    expect(second.id).not.toBe(first.id);
    const retry = stripeOf(proxy.url, scene.vaultKey, 7, 1);
    const again = [
      await retry.paymentIntents.create(paymentOf(scene)),
      await retry.paymentIntents.create(paymentOf(scene)),
    ];
    expect(again.map(({ id }) => id)).toEqual([first.id, second.id]);
    expect((await intents(stripe, scene.label)).sort()).toEqual([first.id, second.id].sort());
  });
});

describe("two identical texts of one attempt", () => {
  it("are both sent, and none of them again when the task runs again", async () => {
    const scene = await newScene("twilio");
    const to = "+14155550101";
    const text = { to, from: twilioSender, body: "Your invoice is due." };
    const client = twilioOf(proxy.url, scene.vaultKey, 7, 0);
    const first = await client.messages.create(text);
    const second = await client.messages.create(text);
    expect(second.sid).not.toBe(first.sid);
    const spent = (await sums(scene)).spent;

    const retry = twilioOf(proxy.url, scene.vaultKey, 7, 1);
    const again = [await retry.messages.create(text), await retry.messages.create(text)];
    expect(again.map(({ sid }) => sid)).toEqual([first.sid, second.sid]);
    expect((await texts(twilio, to)).sort()).toEqual([first.sid, second.sid].sort());
    expect(await sums(scene)).toEqual({ spent, reserved: 0, states: ["settled", "settled"] });
  });

  it("one whose answer was lost stays unknown, is not sent again, and its dollars stay reserved", async () => {
    const scene = await newScene("twilio");
    const to = "+14155550102";
    const text = { to, from: twilioSender, body: "Your invoice is due." };
    twilioLine.cutAnswers(1);
    for (const attempt of [0, 1]) {
      const error = await twilioOf(proxy.url, scene.vaultKey, 7, attempt)
        .messages.create(text)
        .then(
          () => null,
          (thrown: unknown) => thrown,
        );
      expect(error).toBeInstanceOf(RestException);
      expect((error as RestException).details).toMatchObject({ reason: "outcome_unknown" });
      expect((error as RestException).status).toBe(attempt === 0 ? 504 : 409);
    }
    expect(await texts(twilio, to)).toHaveLength(1);
    const after = await sums(scene);
    expect(after).toMatchObject({ spent: 0, states: ["unknown"] });
    expect(after.reserved).toBeGreaterThan(0);
  });
});

describe("the client's own idempotency key", () => {
  it("is one payment over attempts, tasks and processes", async () => {
    const scene = await newScene("stripe");
    const file = fileURLToPath(new URL("own-key-process.ts", import.meta.url));
    const ids: string[] = [];
    for (const context of ["~3~0", "~3~1", "~4~0", ""]) {
      const args = [file, proxy.url, scene.vaultKey + context, "invoice-2026-11-cus_42"];
      const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
      ids.push(stdout.trim());
    }
    expect(ids[0]).toMatch(/^pi_/);
    expect(new Set(ids).size).toBe(1);
    expect(await sums(scene)).toEqual({ spent: 7_000_000, reserved: 0, states: ["settled"] });
  });

  it("with another payment under it is refused as idempotency_mismatch, and nothing is sent", async () => {
    const scene = await newScene("stripe");
    const client = stripeOf(proxy.url, scene.vaultKey, 7, 0);
    await client.paymentIntents.create(paymentOf(scene), { idempotencyKey: "invoice-1" });
    await expect(
      client.paymentIntents.create({ ...paymentOf(scene), amount: 500 }, { idempotencyKey: "invoice-1" }),
    ).rejects.toMatchObject({ code: "idempotency_mismatch" });
    expect(await intents(stripe, scene.label)).toHaveLength(1);
  });
});
