/**
 * emulate 0.12.2 (npm, Apache-2.0): Stripe, Twilio and Resend, stateful, in a process of its own.
 * Read in its sources and measured, 2026-11:
 *
 * Everywhere: any credential is taken for Stripe and Resend. The 5,000th request of an hour and later ones get 403 (all
 * unknown credentials share one counter), so a server is good for one test file, not for load. Port 0 works. Seeds may
 * name the ids of customers. No faults can be injected.
 *
 * Stripe: customers, products, prices, payment_intents (create, read, update, confirm, cancel, list), charges (read,
 *   list), checkout sessions.
 * - `Idempotency-Key` is ignored: a repeat makes a second object, and `Idempotent-Replayed` is never sent. So here the
 *   proxy's retry shield is the only protection, and its "send again with the same vendor key" does charge twice.
 * - There is no `GET /v1/events` (404) and no capture route (404); `confirm=true`, `capture_method` and card numbers are
 *   ignored: a new intent is `requires_payment_method` (`requires_confirmation` with a payment_method); confirm makes it
 *   `succeeded`. No declines, no `amount_received`, no `amount_capturable`.
 * - Lists: `limit` ≤ 100, `starting_after`, `ending_before`, `created[gte]`, `created[lte]` (not `gt`, `lt`), `customer`,
 *   `status`; newest first. Metadata is kept, so a look-up by metadata works; there is no search.
 * - An unknown customer is 400 `resource_missing`. Takes JSON bodies too, which Stripe does not. No parameter is refused.
 *
 * Twilio: basic auth is checked (AccountSid:AuthToken or API key); another account is 403, no credential 401 / 20003.
 * - Messages: create 201, read, list (`To`, `From`, `PageSize`, `Page`; no `DateSent`, newest first), update, delete.
 * - `price` is null for ever, `num_segments` = ceil(length / 160), "0" without a body; no idempotency of any kind.
 * - `From` must be a seeded number or there must be a Messaging Service; `To` must be E.164, else 400 / 21201.
 *
 * Resend: `Idempotency-Key` on `/emails` and `/emails/batch` is honoured for 24 h: the same ids, no replay header; another
 *   body under the key is 409 `invalid_idempotent_request`; longer than 256 characters is 400 `invalid_idempotency_key`.
 * - `GET /emails` lists all; batches over 100 are 422. `to` may be any text; recipients are not limited to 50.
 */
import { fileURLToPath } from "node:url";
import { startServerProcess } from "./server-process.ts";
import type { VendorServer } from "./vendor-server.ts";

export const twilioAccount = "AC0123456789abcdef0123456789abcdef";
export const twilioSender = "+15551234567";
const twilioToken = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const secrets = {
  stripe: "sk_test_emulate0123456789abcdef",
  twilio: `${twilioAccount}:${twilioToken}`,
  resend: "re_emulate_0123456789abcdef",
} as const;

export type EmulatedVendor = keyof typeof secrets;

export const emulatedCustomers = ["cus_test0001", "cus_test0002", "cus_test0003"] as const;

const seeds = {
  stripe: { customers: emulatedCustomers.map((id) => ({ id, name: id })) },
  twilio: {
    account: { sid: twilioAccount, auth_token: twilioToken, friendly_name: "Test" },
    phone_numbers: [{ phone_number: twilioSender, friendly_name: "Sender" }],
  },
  resend: { domains: [{ name: "example.com" }] },
} as const;

export async function startEmulate(service: EmulatedVendor): Promise<VendorServer> {
  const file = fileURLToPath(new URL("emulate-process.ts", import.meta.url));
  const server = await startServerProcess({
    name: `emulate (${service})`,
    command: process.execPath,
    args: [file, service, JSON.stringify({ [service]: seeds[service] })],
    ready: /^listening http:\/\/localhost:(\d+)$/,
  });
  return {
    url: `http://127.0.0.1:${server.ready[1]}`,
    secret: secrets[service],
    pid: server.pid,
    stop: server.kill9,
  };
}
