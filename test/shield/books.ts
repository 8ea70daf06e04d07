/** The vendors' own books, asked with the real secret and without the proxy. */
import { twilioAccount } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

async function list(server: VendorServer, target: string, field: string): Promise<Record<string, unknown>[]> {
  const basic = server.secret.includes(":");
  const response = await fetch(server.url + target, {
    headers: {
      authorization: basic ? `Basic ${Buffer.from(server.secret).toString("base64")}` : `Bearer ${server.secret}`,
    },
  });
  return ((await response.json()) as Record<string, Record<string, unknown>[]>)[field]!;
}

/** Ids of the payment intents that carry `metadata[scene]`. */
export async function intents(server: VendorServer, scene: string): Promise<string[]> {
  const all = await list(server, "/v1/payment_intents?limit=100", "data");
  return all
    .filter((intent) => (intent.metadata as Record<string, unknown>).scene === scene)
    .map(({ id }) => String(id));
}

/** Ids of the charges of that description which took money. */
export async function paidCharges(server: VendorServer, scene: string): Promise<string[]> {
  const all = await list(server, "/v1/charges?limit=100", "data");
  return all.filter((charge) => charge.description === scene && charge.paid === true).map(({ id }) => String(id));
}

/** Ids of the texts to that number. */
export async function texts(server: VendorServer, to: string): Promise<string[]> {
  const target = `/2010-04-01/Accounts/${twilioAccount}/Messages.json?To=${encodeURIComponent(to)}`;
  return (await list(server, target, "messages")).map(({ sid }) => String(sid));
}
