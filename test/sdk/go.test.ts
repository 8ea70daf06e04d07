/**
 * Goal: the unpatched stripe-go works through the proxy, and what it refuses arrives as `*stripe.Error`.
 * Method: `go/main.go`, built once into a cache directory, against a real proxy with bare paths and emulate's Stripe.
 * Limit: stripe-go v85.0.0 only; the vendor is simulated.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { goMissing, goProgram, nameOf } from "../support/runtimes.ts";
import { payment, type Scene, type SdkRig, startSdkRig, vendorCount } from "./scenes.ts";

describe.skipIf(goMissing !== null)(nameOf("stripe-go", goMissing), () => {
  let rig: SdkRig;
  let program: string;
  beforeAll(async () => {
    program = await goProgram(fileURLToPath(new URL("go", import.meta.url)), "stripe-scene");
    rig = await startSdkRig();
  }, 320_000);
  afterAll(() => rig?.stop());

  async function play(scene: Scene): Promise<Record<string, unknown>> {
    const { vaultKey } = await rig.keyFor("stripe", scene, "go");
    const args = [scene, rig.proxy.url, vaultKey, String(payment.amount), payment.currency];
    const { stdout } = await promisify(execFile)(program, args, { timeout: 60_000 });
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  it("creates a payment intent, once", async () => {
    const before = await vendorCount("stripe", rig.vendors.stripe);
    expect(await play("success")).toMatchObject({ ok: true, id: expect.stringMatching(/^pi_/) });
    expect(await vendorCount("stripe", rig.vendors.stripe)).toBe(before + 1);
  });

  it("gets a cap hit as *stripe.Error of 429 with code cap_exhausted, and nothing is sent", async () => {
    const before = await vendorCount("stripe", rig.vendors.stripe);
    expect(await play("cap")).toMatchObject({
      ok: false,
      class: "*stripe.Error",
      status: 429,
      code: "cap_exhausted",
      message: expect.stringMatching(/^cap_exhausted: /),
    });
    expect(await vendorCount("stripe", rig.vendors.stripe)).toBe(before);
  });

  it("gets an endpoint outside the key's list as *stripe.Error of 403 with code endpoint_not_allowed", async () => {
    expect(await play("endpoint")).toMatchObject({
      ok: false,
      class: "*stripe.Error",
      status: 403,
      code: "endpoint_not_allowed",
    });
  });
});
