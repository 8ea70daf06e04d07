/**
 * Goal: answers that are lost or wrong between the proxy and a vendor that honours idempotency keys cost the customer once.
 * Method: stripe-node with its default retries, through a real proxy, over a hop that resets or answers 500, to
 * stripe-stateful-mock, which replays under one idempotency key as Stripe does.
 * Limit: a simulated vendor of an old API version, and charges instead of payment intents.
 */
import Stripe from "stripe";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { startStripeStatefulMock } from "../support/vendors/stripe-stateful-mock.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";
import { paidCharges } from "./books.ts";
import { stripeOf } from "./clients.ts";
import { type Cutter, startCutter } from "./cutter.ts";
import { type FailingHop, startFailingHop } from "./failing-hop.ts";

let vendor: VendorServer;
let hop: FailingHop;
let line: Cutter;
let proxy: RunningProxy;
let scenes = 0;

beforeAll(async () => {
  vendor = await startStripeStatefulMock();
  hop = await startFailingHop(vendor.url);
  line = await startCutter(hop.url);
  proxy = await startProxy({ vendors: { stripe: { url: line.url, secret: vendor.secret } } });
});
afterAll(async () => {
  await proxy?.stop();
  await line?.stop();
  await hop?.stop();
  await vendor?.stop();
});
afterEach(() => {
  line.cutAnswers(0);
  hop.fail([]);
});

interface Scene extends IssuedKey {
  label: string;
}

async function newScene(): Promise<Scene> {
  const label = `failures/${scenes++}`;
  const key = await proxy.issue({
    vendor: "stripe",
    usd_cap: "100.00",
    allowed_endpoints: ["POST /v1/charges"],
    label,
  });
  return { ...key, label };
}

const chargeOf = (scene: Scene, source = "tok_visa") => ({
  amount: 400,
  currency: "usd",
  source,
  description: scene.label,
});
const chargedMicros = 4_000_000;
const client = (scene: Scene, attempt = 0) => stripeOf(proxy.url, scene.vaultKey, 7, attempt);

async function sums(scene: Scene): Promise<{ spent: unknown; reserved: unknown; states: unknown[] }> {
  const key = await proxy.key(scene.keyId);
  const calls = (await proxy.calls(scene.label)).filter((call) => call.state !== "refused");
  return { spent: key.spent_micros, reserved: key.reserved_micros, states: calls.map((call) => call.state) };
}

const once = { spent: chargedMicros, reserved: 0, states: ["settled"] };

describe("a charge whose answer is lost between the proxy and the vendor", () => {
  it("is sent again under the same vendor key by stripe-node's own retry, and the replay settles it once", async () => {
    const scene = await newScene();
    line.cutAnswers(1);
    const charge = await client(scene).charges.create(chargeOf(scene));
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toEqual(once);
  });

  it("is sent again under the same vendor key when the task runs again with another random key", async () => {
    const scene = await newScene();
    line.cutAnswers(1);
    const lost = client(scene).charges.create(chargeOf(scene), { maxNetworkRetries: 0 });
    await expect(lost).rejects.toMatchObject({ code: "outcome_unknown" });
    expect(await sums(scene)).toEqual({ spent: 0, reserved: chargedMicros, states: ["unknown"] });
    const charge = await client(scene, 1).charges.create(chargeOf(scene));
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toEqual(once);
  });
});

describe("a charge that answers 500, 500, 200", () => {
  it.each([
    ["when the vendor never saw the first two", ["unsent", "unsent"]],
    ["when the vendor had acted on the first two", ["acted", "acted"]],
    ["when the vendor had acted on the first", ["acted", "unsent"]],
  ] as const)("counts once %s", async (_, failures) => {
    const scene = await newScene();
    hop.fail(failures);
    const charge = await client(scene).charges.create(chargeOf(scene));
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toEqual(once);
  });

  it("holds its dollars between the 500 and the 200", async () => {
    const scene = await newScene();
    hop.fail(["acted"]);
    const failed = client(scene).charges.create(chargeOf(scene), { maxNetworkRetries: 0 });
    await expect(failed).rejects.toBeInstanceOf(Stripe.errors.StripeAPIError);
    expect(await sums(scene)).toEqual({ spent: 0, reserved: chargedMicros, states: ["unknown"] });
  });
});

describe("a decline", () => {
  it("arrives as StripeCardError, gives its dollars back, and the second try of the same attempt is a charge of its own", async () => {
    const scene = await newScene();
    const source = `tok_chargeDeclined|tok_visa|${Date.now()}`;
    const declined = client(scene).charges.create(chargeOf(scene, source));
    await expect(declined).rejects.toBeInstanceOf(Stripe.errors.StripeCardError);
    expect(await sums(scene)).toEqual({ spent: 0, reserved: 0, states: ["released"] });
    const charge = await client(scene).charges.create(chargeOf(scene, source));
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toMatchObject({ spent: chargedMicros, reserved: 0 });
  });

  it("and then a success are answered with the success when the task runs again, not charged once more", async () => {
    const scene = await newScene();
    const source = `tok_chargeDeclined|tok_visa|tok_mastercard|${Date.now()}`;
    await expect(client(scene).charges.create(chargeOf(scene, source))).rejects.toMatchObject({
      code: "card_declined",
    });
    const charge = await client(scene).charges.create(chargeOf(scene, source));
    const again = await client(scene, 1).charges.create(chargeOf(scene, source));
    expect(again.id).toBe(charge.id);
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toMatchObject({ spent: chargedMicros, reserved: 0 });
  });

  it("is tried anew when the task runs again: the vendor does not replay the decline that it saved", async () => {
    const scene = await newScene();
    const source = `tok_chargeDeclined|tok_visa|${Date.now()}`;
    await expect(client(scene).charges.create(chargeOf(scene, source))).rejects.toMatchObject({
      code: "card_declined",
    });
    const charge = await client(scene, 1).charges.create(chargeOf(scene, source));
    expect(await paidCharges(vendor, scene.label)).toEqual([charge.id]);
    expect(await sums(scene)).toEqual(once);
  });

  it("under the client's own key is replayed by the vendor under that key, as the client expects", async () => {
    const scene = await newScene();
    const source = `tok_chargeDeclined|tok_visa|${Date.now()}`;
    for (const attempt of [0, 1]) {
      await expect(
        client(scene, attempt).charges.create(chargeOf(scene, source), { idempotencyKey: "invoice-7" }),
      ).rejects.toMatchObject({ code: "card_declined" });
    }
    expect(await paidCharges(vendor, scene.label)).toEqual([]);
    expect(await sums(scene)).toEqual({ spent: 0, reserved: 0, states: ["released"] });
  });
});
