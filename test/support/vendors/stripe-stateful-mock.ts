/**
 * stripe-stateful-mock 0.0.16 (npm, MIT): Stripe of API version 2020-08-27, stateful, in a process of its own.
 * Read in its sources and measured, 2026-11:
 * - charges (create, read, list, update, capture), refunds, customers, cards, products, plans, prices, subscriptions.
 *   No payment_intents, no events: look-ups after the fact find nothing here (404).
 * - `Idempotency-Key`, per account and path: the saved status and body again with `idempotent-replayed: true`; another
 *   body is 400 `idempotency_error`. Saved are all statuses but 401 and 429, so a 402 and a 500 are replayed, as Stripe does.
 *   A repeat while the first is under way gets an empty answer instead of Stripe's 409 (it answers within a millisecond).
 * - Sources: `tok_visa`, `tok_chargeDeclined` and its kin (402 `card_declined`), `tok_500`, `tok_429`, `tok_forget`
 *   (answers a charge that is not in the books), and chains `tok_500|tok_visa|<random>` of letters, digits, `_` and `-`:
 *   one answer per request, but under one idempotency key the first answer is replayed and the chain does not move on.
 *   A decline leaves a charge with status `failed` in the books. Past a chain's end: 500 without an `error` object.
 * - `capture=false`, then `POST /v1/charges/{id}/capture` with `amount` gives the rest back as a refund.
 * - Bearer or Basic; the secret must begin with `sk_test_` (else 401, which echoes its first 11 and last 4 characters), and each one is an account of its own. Minimum 50 cents.
 * - Takes forms only. Lists: `limit`, `starting_after`, `ending_before`, `created[gt|gte|lt|lte]`.
 */
import { fileURLToPath } from "node:url";
import { startServerProcess } from "./server-process.ts";
import type { VendorServer } from "./vendor-server.ts";

export async function startStripeStatefulMock(): Promise<VendorServer> {
  const file = fileURLToPath(new URL("stripe-stateful-mock-process.ts", import.meta.url));
  const server = await startServerProcess({
    name: "stripe-stateful-mock",
    command: process.execPath,
    args: [file],
    env: { LOG_LEVEL: "silent" },
    ready: /^listening (\d+)$/,
  });
  return {
    url: `http://127.0.0.1:${server.ready[1]}`,
    secret: "sk_test_stateful0123456789abcdef",
    pid: server.pid,
    stop: server.kill9,
  };
}
