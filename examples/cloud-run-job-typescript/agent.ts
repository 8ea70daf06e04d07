/**
 * One task of a Cloud Run job: bills its share of the customers with Stripe's own SDK.
 * STRIPE_SECRET_KEY is a vault key of this one execution: capped, expiring, revocable. The real secret is not here.
 */
import { readFileSync } from "node:fs";
import Stripe from "stripe";

interface Customer {
  id: string;
  amount_cents: number;
}

const execution = required("CLOUD_RUN_EXECUTION");
const taskIndex = Number(required("CLOUD_RUN_TASK_INDEX"));
const taskCount = Number(required("CLOUD_RUN_TASK_COUNT"));

/** What no further attempt can change: ending with 0 keeps Cloud Run from running the task again. */
const endings: Partial<Record<string, string>> = {
  cap_exhausted: "spend cap exhausted",
  key_revoked: "stopped by an operator",
};

// Behind the key, the task's place lets the proxy see that attempt 1 repeats attempt 0, and answer it instead of billing again.
// A job with a `command`, and `keybrake exec`, have put it there already.
const key = required("STRIPE_SECRET_KEY");
const proxy = new URL(required("STRIPE_API_BASE"));
const stripe = new Stripe(key.includes("~") ? key : `${key}~${taskIndex}~${required("CLOUD_RUN_TASK_ATTEMPT")}`, {
  host: proxy.hostname,
  port: proxy.port || "443",
  protocol: proxy.protocol === "http:" ? "http" : "https",
});

async function billCustomers(): Promise<void> {
  const customers = JSON.parse(readFileSync(required("BILLING_CUSTOMERS_FILE"), "utf8")) as Customer[];
  for (const customer of customers.filter((_, index) => index % taskCount === taskIndex)) {
    try {
      const intent = await stripe.paymentIntents.create({
        amount: customer.amount_cents,
        currency: "usd",
        customer: customer.id,
      });
      console.log(`[${execution}] task ${taskIndex}: billed ${customer.id} ${intent.amount} as ${intent.id}`);
    } catch (error) {
      const ending = error instanceof Stripe.errors.StripeError ? endings[error.code ?? ""] : undefined;
      if (ending === undefined) throw error;
      console.log(`[${execution}] task ${taskIndex}: ${ending}, ending cleanly`);
      return;
    }
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; it comes with the Cloud Run execution.`);
  return value;
}

await billCustomers();
// stripe-node leaves an answer that it retried unread, and that connection can keep the process alive.
process.exit(0);
