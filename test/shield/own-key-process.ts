/** A task in a process of its own that sends a payment under its own idempotency key. Arguments: proxy URL, credential, key. */
import Stripe from "stripe";

const [url, credential, idempotencyKey] = process.argv.slice(2);
const { hostname, port } = new URL(url!);
const stripe = new Stripe(credential!, { host: hostname, port, protocol: "http" });
const intent = await stripe.paymentIntents.create(
  { amount: 700, currency: "usd" },
  { idempotencyKey: idempotencyKey! },
);
console.log(intent.id);
