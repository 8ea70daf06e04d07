/** Stripe's own books, asked page by page with the real secret and without the proxy. */
import type { VendorServer } from "./vendors/vendor-server.ts";

export interface VendorObject {
  id: string;
  /** Minor units. */
  amount: number;
  metadata: Record<string, string>;
  status: string;
  paid?: boolean;
}

/** Everything in a list, newest first. */
export async function listAll(server: VendorServer, path: string): Promise<VendorObject[]> {
  const all: VendorObject[] = [];
  for (;;) {
    const last = all.at(-1);
    const from = last ? `&starting_after=${last.id}` : "";
    const response = await fetch(`${server.url}${path}?limit=100${from}`, {
      headers: { authorization: `Bearer ${server.secret}` },
    });
    if (!response.ok) throw new Error(`the vendor's books cannot be read: ${response.status} ${await response.text()}`);
    const page = (await response.json()) as { data: VendorObject[]; has_more: boolean };
    all.push(...page.data);
    if (!page.has_more || page.data.length === 0) return all;
  }
}

/** Payment intents whose `metadata[run]` is this. */
export async function intentsOf(server: VendorServer, run: string): Promise<VendorObject[]> {
  return (await listAll(server, "/v1/payment_intents")).filter(({ metadata }) => metadata.run === run);
}

/** Charges that took money, of `metadata[run]`. */
export async function paidChargesOf(server: VendorServer, run: string): Promise<VendorObject[]> {
  return (await listAll(server, "/v1/charges")).filter(({ metadata, paid }) => metadata.run === run && paid === true);
}

/** Micro-USD that the objects add up to. */
export const microsOf = (objects: readonly VendorObject[]): number =>
  objects.reduce((total, { amount }) => total + amount * 10_000, 0);
