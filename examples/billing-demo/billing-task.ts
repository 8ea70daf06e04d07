/**
 * The agent's job: one task of a Cloud Run Job that bills its slice of the customers.
 * It knows the vendor's own SDK and what Cloud Run and the set-up step put into its environment, and nothing of how it is
 * run. The real Stripe key is not here: `KEYBRAKE_VAULT_KEY` is a scoped, capped key of this one execution.
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
const attempt = required("CLOUD_RUN_TASK_ATTEMPT");
const proxy = new URL(required("KEYBRAKE_URL"));

// The task's context behind the key is what lets the proxy see that attempt 1 repeats attempt 0; `keybrake exec` appends it already.
const vaultKey = required("KEYBRAKE_VAULT_KEY");
const stripe = new Stripe(vaultKey.includes("~") ? vaultKey : `${vaultKey}~${taskIndex}~${attempt}`, {
  host: proxy.hostname,
  port: proxy.port || (proxy.protocol === "https:" ? "443" : "80"),
  protocol: proxy.protocol === "https:" ? "https" : "http",
  telemetry: false,
});

/** Refusals that no further attempt can change: ending with 0 keeps Cloud Run from running the task again. */
const endings: Partial<Record<string, string>> = {
  cap_exhausted: "spend cap exhausted",
  key_revoked: "stopped by an operator",
};

// stripe 23.1 leaves the answer that it retries unread, and that connection would keep this process alive until the server
// closes it, a minute later: a task says itself when it is done.
billCustomers().then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);

async function billCustomers(): Promise<void> {
  for (const customer of customersOfThisTask()) {
    try {
      const intent = await stripe.paymentIntents.create({
        amount: customer.amount_cents,
        currency: "usd",
        customer: customer.id,
        metadata: { execution, task_index: String(taskIndex) },
      });
      log({ message: "billed", customer: customer.id, payment_intent: intent.id, amount: intent.amount });
    } catch (error) {
      const ending = error instanceof Stripe.errors.StripeError ? endings[error.code ?? ""] : undefined;
      if (ending === undefined) throw error;
      log({ message: `${ending}, ending cleanly`, customer: customer.id });
      break;
    }
  }
}

function customersOfThisTask(): Customer[] {
  const customers = JSON.parse(readFileSync(required("BILLING_CUSTOMERS_FILE"), "utf8")) as Customer[];
  return customers.filter((_, index) => index % taskCount === taskIndex);
}

function required(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "")
    throw new Error(`${name} is not set; it comes with the Cloud Run execution.`);
  return value;
}

function log(fields: Record<string, unknown>): void {
  console.log(
    JSON.stringify({ severity: "INFO", execution, task_index: taskIndex, task_attempt: Number(attempt), ...fields }),
  );
}
