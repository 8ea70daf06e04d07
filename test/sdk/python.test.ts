/**
 * Goal: the unpatched Python SDKs of Stripe, Twilio and Resend work through the proxy, and what it refuses arrives as
 * their own typed exception.
 * Method: `python/scene.py` in a virtual environment with pinned packages, against a real proxy and emulate's servers.
 * Limit: the pinned versions only; the vendors are simulated.
 */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nameOf, pythonMissing, pythonWith } from "../support/runtimes.ts";
import {
  mail,
  payment,
  type Scene,
  type SdkRig,
  type SdkVendor,
  startSdkRig,
  text,
  twilioAccount,
  vendorCount,
} from "./scenes.ts";

const requirements = fileURLToPath(new URL("../../examples/sdks/requirements.txt", import.meta.url));
const packages = readFileSync(requirements, "utf8").trim().split("\n");
const sceneFile = fileURLToPath(new URL("python/scene.py", import.meta.url));

describe.skipIf(pythonMissing !== null)(nameOf("the Python SDKs", pythonMissing), () => {
  let rig: SdkRig;
  let python: string;
  beforeAll(async () => {
    python = await pythonWith(packages);
    rig = await startSdkRig();
  }, 320_000);
  afterAll(() => rig?.stop());

  async function play(vendor: SdkVendor, scene: Scene): Promise<Record<string, unknown>> {
    const { vaultKey } = await rig.keyFor(vendor, scene, "python");
    const task = { vendor, scene, url: rig.proxy.url, key: vaultKey, account: twilioAccount, payment, text, mail };
    const { PATH = "" } = process.env;
    const env = { PATH, PYTHONDONTWRITEBYTECODE: "1" };
    const { stdout } = await promisify(execFile)(python, [sceneFile, JSON.stringify(task)], { env, timeout: 60_000 });
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  it.each(["stripe", "twilio", "resend"] as const)(
    "%s: a priced call succeeds and reaches the vendor once",
    async (vendor) => {
      const before = await vendorCount(vendor, rig.vendors[vendor]);
      const result = await play(vendor, "success");
      expect(result).toMatchObject({ ok: true, id: expect.stringMatching(/./) });
      expect(await vendorCount(vendor, rig.vendors[vendor])).toBe(before + 1);
    },
  );

  it("stripe: a cap hit is RateLimitError with error.code cap_exhausted, and sends nothing", async () => {
    const before = await vendorCount("stripe", rig.vendors.stripe);
    expect(await play("stripe", "cap")).toMatchObject({
      ok: false,
      class: "RateLimitError",
      status: 429,
      code: "cap_exhausted",
    });
    expect(await vendorCount("stripe", rig.vendors.stripe)).toBe(before);
  });

  it("stripe: an endpoint outside the key's list is PermissionError with error.code endpoint_not_allowed", async () => {
    expect(await play("stripe", "endpoint")).toMatchObject({
      ok: false,
      class: "PermissionError",
      status: 403,
      code: "endpoint_not_allowed",
    });
  });

  it("twilio: a cap hit is TwilioRestException with code 20429 and reason cap_exhausted, and sends nothing", async () => {
    const before = await vendorCount("twilio", rig.vendors.twilio);
    expect(await play("twilio", "cap")).toMatchObject({
      ok: false,
      class: "TwilioRestException",
      status: 429,
      code: 20429,
      details: { reason: "cap_exhausted" },
    });
    expect(await vendorCount("twilio", rig.vendors.twilio)).toBe(before);
  });

  it("twilio: an endpoint outside the key's list is TwilioRestException with reason endpoint_not_allowed", async () => {
    expect(await play("twilio", "endpoint")).toMatchObject({
      ok: false,
      class: "TwilioRestException",
      status: 403,
      details: { reason: "endpoint_not_allowed" },
    });
  });

  it("resend: a cap hit is a ResendError of 429 that begins with cap_exhausted, and sends nothing", async () => {
    const before = await vendorCount("resend", rig.vendors.resend);
    expect(await play("resend", "cap")).toMatchObject({
      ok: false,
      class: "RateLimitError",
      status: 429,
      message: expect.stringMatching(/^cap_exhausted: /),
    });
    expect(await vendorCount("resend", rig.vendors.resend)).toBe(before);
  });

  it("resend: an endpoint outside the key's list is a ResendError of 403 that begins with endpoint_not_allowed", async () => {
    expect(await play("resend", "endpoint")).toMatchObject({
      ok: false,
      status: 403,
      message: expect.stringMatching(/^endpoint_not_allowed: /),
    });
  });
});
