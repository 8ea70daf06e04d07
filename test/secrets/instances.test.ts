/**
 * Goal: instances on one store that start at the same moment agree on the pepper; and when one of them sees a rotation first, the keys that it
 * makes work at the others at once: at their vendors, for a retrying parent, and for a job's audit.
 * Method: real processes over one Firestore (the official emulator), a loopback Secret Manager, a loopback vendor. Limit: three instances on
 * one machine; the loopback's listings are current.
 */
import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Caller } from "../support/caller.ts";
import { describeOnEmulator } from "../support/on-emulator.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { Upstream } from "../support/upstream.ts";
import { type LocalWorld, secretOf, startLocal } from "./local.ts";

const pepper = secretOf("pepper");
const body = (label: string) => ({ vendor: "stripe", usd_cap: "500.00", allowed_endpoints: ["*"], label });

describeOnEmulator("several instances with their pepper in Secret Manager", (emulator) => {
  let world: LocalWorld;
  let vendor: Upstream;
  let store: string;
  const proxies: RunningProxy[] = [];

  beforeEach(async () => {
    world = await startLocal();
    world.local.createSecret(pepper);
    world.local.addVersion(secretOf("stripe"), "sk_live_0123456789");
    vendor = await Upstream.start();
    store = emulator.freshStore();
  });
  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
    await vendor.stop();
    await world.close();
  });

  async function start(): Promise<RunningProxy> {
    const proxy = await startProxy({
      vendors: {},
      adminKey: "k".repeat(40),
      env: {
        KEYBRAKE_STORE: store,
        FIRESTORE_EMULATOR_HOST: emulator.host,
        KEYBRAKE_GOOGLE_APIS: world.url,
        KEYBRAKE_PEPPER: pepper,
        KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: secretOf("stripe"), upstream: vendor.url } }),
      },
    });
    proxies.push(proxy);
    return proxy;
  }

  async function pay(proxy: RunningProxy, vaultKey: string, description: string): Promise<number> {
    const caller = new Caller(proxy.url, 1);
    try {
      return (await caller.post("/stripe/v1/payment_intents", vaultKey, { amount: 4000, currency: "usd", description }))
        .status;
    } finally {
      caller.close();
    }
  }

  it("make one key for one label, and pay with it everywhere, whichever pepper each of them made", async () => {
    const started = await Promise.all([start(), start(), start()]);
    const keys = await Promise.all(started.map((proxy) => proxy.issue(body("one"))));
    expect(new Set(keys.map(({ vaultKey }) => vaultKey)).size).toBe(1);
    const paid = await Promise.all(started.map((proxy, at) => pay(proxy, keys[0]!.vaultKey, `payment ${at}`)));
    expect(paid).toEqual([200, 200, 200]);
  });

  it("take each other's keys when one of them sees a new version first", async () => {
    const behind = await start();
    const old = await behind.issue(body("old"));
    world.local.addVersion(pepper, randomBytes(32).toString("hex"));
    const ahead = await start();
    const young = await ahead.issue(body("young"));
    expect([old.vaultKey.slice(0, 5), young.vaultKey.slice(0, 5)]).toEqual(["vk_1_", "vk_2_"]);
    expect(await pay(behind, young.vaultKey, "payment 0")).toBe(200);
    expect(await pay(ahead, old.vaultKey, "payment 1")).toBe(200);
  });

  it("answer a parent's retry with the same key when one of them sees a new version first", async () => {
    const behind = await start();
    world.local.addVersion(pepper, randomBytes(32).toString("hex"));
    const ahead = await start();
    const young = await ahead.issue(body("young"));
    expect((await behind.issue(body("young"))).vaultKey).toBe(young.vaultKey);
    expect(await pay(behind, young.vaultKey, "payment 0")).toBe(200);
  });

  it("refuse a key of a version that nobody has", async () => {
    const proxy = await start();
    const made = await proxy.issue(body("one"));
    expect(await pay(proxy, made.vaultKey.replace("vk_1_", "vk_7_"), "payment 0")).toBe(401);
  });
});
