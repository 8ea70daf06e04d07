import Stripe from "stripe";

const {
  KEYBRAKE_URL = "",
  KEYBRAKE_VAULT_KEY = "",
  CLOUD_RUN_TASK_INDEX = "0",
  CLOUD_RUN_TASK_ATTEMPT = "0",
} = process.env;
const proxy = new URL(KEYBRAKE_URL);
const stripe = new Stripe(`${KEYBRAKE_VAULT_KEY}~${CLOUD_RUN_TASK_INDEX}~${CLOUD_RUN_TASK_ATTEMPT}`, {
  host: proxy.hostname,
  port: proxy.port || "443",
  protocol: proxy.protocol === "http:" ? "http" : "https",
});

try {
  const intent = await stripe.paymentIntents.create({ amount: 4000, currency: "usd" });
  console.log("created", intent.id);
} catch (error) {
  if (!(error instanceof Stripe.errors.StripeRateLimitError && error.code === "cap_exhausted")) throw error;
  console.log("the run's budget is used up");
}
