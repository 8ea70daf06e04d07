/** The vendor of the bench: answers every POST at once with a payment intent of realistic size under a fresh id. */
import { createServer } from "node:http";
import { listenAndReport } from "./listen.ts";

const intent = {
  id: "ID",
  object: "payment_intent",
  amount: 4000,
  amount_capturable: 0,
  amount_details: { tip: {} },
  amount_received: 4000,
  application: null,
  application_fee_amount: null,
  automatic_payment_methods: { allow_redirects: "never", enabled: true },
  canceled_at: null,
  cancellation_reason: null,
  capture_method: "automatic_async",
  client_secret: "ID_secret_1hgTvA9x2Qm5rYkL8wZpEuN3c",
  confirmation_method: "automatic",
  created: 1795330000,
  currency: "usd",
  customer: "cus_00000000000001",
  description: "Nightly billing",
  excluded_payment_method_types: null,
  invoice: null,
  last_payment_error: null,
  latest_charge: "ch_3SMqX2Lr8dK0aBcD1eFgHiJk",
  livemode: false,
  metadata: {},
  next_action: null,
  on_behalf_of: null,
  payment_method: "pm_1SMqX2Lr8dK0aBcDvisa4242",
  payment_method_configuration_details: { id: "pmc_1QabcdLr8dK0aBcD", parent: null },
  payment_method_options: { card: { installments: null, network: null, request_three_d_secure: "automatic" } },
  payment_method_types: ["card"],
  processing: null,
  receipt_email: null,
  review: null,
  setup_future_usage: null,
  shipping: null,
  source: null,
  statement_descriptor: null,
  statement_descriptor_suffix: null,
  status: "succeeded",
  transfer_data: null,
  transfer_group: null,
};
const [beforeId, betweenIds, afterIds] = JSON.stringify(intent)
  .split('"ID')
  .map((part) => part) as [string, string, string];

let answers = 0;

listenAndReport(
  createServer((request, response) => {
    request.resume();
    request.on("end", () => {
      answers += 1;
      const id = `pi_3SMq${String(answers).padStart(20, "0")}`;
      const body = `${beforeId}"${id}${betweenIds}"${id}${afterIds}`;
      response.writeHead(200, {
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
        "request-id": `req_${String(answers).padStart(14, "0")}`,
        "stripe-version": "2026-06-24.basil",
        "idempotency-key": String(request.headers["idempotency-key"]),
      });
      response.end(body);
    });
  }),
);
