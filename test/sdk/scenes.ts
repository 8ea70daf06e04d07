/**
 * What every official SDK must see through the proxy: a success, a cap hit and an endpoint refusal, each as that SDK's
 * own success or typed error. One emulated vendor each behind one real proxy.
 */
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { startEmulate, twilioAccount, twilioSender } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

export type Scene = "success" | "cap" | "endpoint";
export type SdkVendor = "stripe" | "twilio" | "resend";

export interface SdkRig {
  proxy: RunningProxy;
  vendors: Record<SdkVendor, VendorServer>;
  /** A new key for one scene of one SDK. @param who for the label. */
  keyFor(vendor: SdkVendor, scene: Scene, who: string): Promise<SceneKey>;
  stop(): Promise<void>;
}

export interface SceneKey {
  keyId: string;
  vaultKey: string;
  label: string;
}

const endpoints = {
  stripe: "POST /v1/payment_intents",
  twilio: "POST /2010-04-01/Accounts/{AccountSid}/Messages.json",
  resend: "POST /emails",
} as const;

/** Every scene sends the same message; what differs is the key. Its price is over `cap`'s 0.01 dollar. */
export const payment = { amount: 4000, currency: "usd" } as const;
export const text = { to: "+14155550100", from: twilioSender, body: "x".repeat(480) } as const;
export const mail = {
  from: "billing@example.com",
  to: Array.from({ length: 20 }, (_, index) => `customer${index}@example.com`),
  subject: "Your invoice",
  text: "Thank you.",
};
export { twilioAccount };

export async function startSdkRig(): Promise<SdkRig> {
  const [stripe, twilio, resend] = await Promise.all([
    startEmulate("stripe"),
    startEmulate("twilio"),
    startEmulate("resend"),
  ]);
  const vendors = { stripe, twilio, resend };
  const stopVendors = (): Promise<unknown> => Promise.all(Object.values(vendors).map((vendor) => vendor.stop()));
  const proxy = await startProxy({ vendors }).catch(async (error: unknown) => {
    await stopVendors();
    throw error;
  });
  let issued = 0;
  return {
    proxy,
    vendors,
    keyFor: async (vendor, scene, who) => {
      const label = `sdk/${who}/${vendor}/${scene}/${issued++}`;
      const key = await proxy.issue({
        vendor,
        usd_cap: scene === "cap" ? "0.01" : "100.00",
        allowed_endpoints: [endpoints[vendor]],
        label,
      });
      return { ...key, label };
    },
    stop: async () => {
      await proxy.stop();
      await stopVendors();
    },
  };
}

/** How many objects the emulated vendor has, asked with its real secret. */
export async function vendorCount(vendor: SdkVendor, server: VendorServer): Promise<number> {
  const targets = {
    stripe: "/v1/payment_intents?limit=100",
    twilio: `/2010-04-01/Accounts/${twilioAccount}/Messages.json?PageSize=1000`,
    resend: "/emails",
  };
  const basic = server.secret.includes(":");
  const response = await fetch(server.url + targets[vendor], {
    headers: {
      authorization: basic ? `Basic ${Buffer.from(server.secret).toString("base64")}` : `Bearer ${server.secret}`,
    },
  });
  const json = (await response.json()) as Record<string, unknown[]>;
  return (json.data ?? json.messages)!.length;
}
