/** Bills one customer through the proxy with Stripe's own SDK. */
import Stripe from "stripe";

export interface Bill {
  customerId: string;
  amountCents: number;
  /** The run's key, shared by all of its children. */
  vaultKey: string;
  /** Place in the batch. */
  index: number;
}

/** The run's budget is spent, or somebody stopped it: no further attempt can change that. */
export class RunEnded extends Error {
  override name = "RunEnded";
}

const endings: Partial<Record<string, string>> = {
  cap_exhausted: "the run's budget is spent",
  key_revoked: "the run was stopped",
};

/**
 * @param attempt from 0. Behind the key it lets the proxy see that attempt 1 repeats attempt 0, and answer it instead of billing again.
 * @returns the PaymentIntent's id. Throws {@link RunEnded}, or what the SDK throws.
 */
export async function billCustomer(proxyUrl: string, bill: Bill, attempt: number): Promise<string> {
  const proxy = new URL(proxyUrl);
  const stripe = new Stripe(`${bill.vaultKey}~${bill.index}~${attempt}`, {
    host: proxy.hostname,
    port: proxy.port || "443",
    protocol: proxy.protocol === "http:" ? "http" : "https",
  });
  try {
    const intent = await stripe.paymentIntents.create({
      amount: bill.amountCents,
      currency: "usd",
      customer: bill.customerId,
    });
    return intent.id;
  } catch (error) {
    const ending = error instanceof Stripe.errors.StripeError ? endings[error.code ?? ""] : undefined;
    if (ending === undefined) throw error;
    throw new RunEnded(ending);
  }
}
