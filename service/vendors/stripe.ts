/**
 * Stripe, as data. Spend is exposure: the gross amount, counted when the object is made; an intent that is not confirmed
 * counts in full, since a publishable key can confirm it elsewhere. Facts: docs.stripe.com/api, /currencies, /idempotency
 * and the error classes of stripe-node 23.1 (read 2026-11).
 */
import type { ConnectorInput } from "./connector.ts";

/** Exposure of a PaymentIntent as it stands. */
const intentExposure = [
  'response.status == "succeeded" ? usd(response.amount_received, response.currency)',
  // A canceled intent holds what was captured of it before; one that names no such amount was never captured.
  'response.status == "canceled" ? (has(response.amount_received) ? usd(response.amount_received, response.currency) : 0)',
  'response.status == "requires_capture" ? usd(response.amount_received, response.currency) + usd(response.amount_capturable, response.currency)',
  "usd(response.amount, response.currency)",
].join(" : ");

const chargeExposure =
  'response.status == "failed" ? 0 : response.captured ? usd(response.amount_captured, response.currency) : usd(response.amount, response.currency)';

const intentCost = {
  micros: intentExposure,
  currency: "response.currency",
  amount: "response.amount",
  id: "response.id",
  object: "response.id",
};
const chargeCost = {
  micros: chargeExposure,
  currency: "response.currency",
  amount: "response.amount",
  id: "response.id",
  object: "response.id",
};

/** Call id and generation: a declined charge stays in Stripe's lists, and must not be taken for the try after it. */
const tag = { field: "metadata.keybrake_call", value: "call.key" };

/** Creates carry our tag in their metadata; a complete list of the time without it proves absence. */
const findByTag = (path: string, failed?: string) => ({
  kind: "list" as const,
  target: `${path}?created[gte]={from}&created[lte]={to}&limit=100`,
  items: "response.data",
  match: "has(item.metadata) && has(item.metadata.keybrake_call) && item.metadata.keybrake_call == call.key",
  ...(failed === undefined ? {} : { failed }),
  paging: {
    more: "response.has_more",
    parameter: "starting_after",
    value: "response.data[size(response.data) - 1].id",
  },
});

const intent = "/v1/payment_intents/{id}";
const charge = "/v1/charges/{id}";

/** What a capture takes of a PaymentIntent: what is asked, else all that can be. */
const toCapture = "(has(body.amount_to_capture) ? amount(body.amount_to_capture) : amount(found.amount_capturable))";
const chargeToCapture = "(has(body.amount) ? amount(body.amount) : amount(found.amount))";

/** What a refund without an amount gives back. An intent's refunds so far show only when its charge came along. */
const refundable = [
  "has(body.amount) ? amount(body.amount)",
  "has(body.charge) ? amount(found.amount_captured) - amount(found.amount_refunded)",
  "has(found.latest_charge) && type(found.latest_charge) == map ? amount(found.amount_received) - amount(found.latest_charge.amount_refunded)",
  "amount(found.amount_received)",
].join(" : ");

const bodyChangesAmount = "has(body.amount) || has(body.currency)";
const newAmount = "(has(body.amount) ? amount(body.amount) : amount(found.amount))";
const newCurrency = "(has(body.currency) ? string(body.currency) : string(found.currency))";

/** The intent has what an update asked for. An update that the vendor is still at work on shows the old amount. */
const asUpdated =
  "(!has(body.amount) || response.amount == amount(body.amount)) && (!has(body.currency) || response.currency == string(body.currency).lowerAscii())";

const noStoredBalance = {
  that: "!has(body.balance) && !has(body.cash_balance)",
  code: "endpoint_unpriced" as const,
  else: "`balance` gives a customer money that no rule prices",
};

const reads = [
  "balance",
  "balance_transactions",
  "balance_transactions/{id}",
  "charges",
  "charges/{id}",
  "coupons",
  "coupons/{id}",
  "customers",
  "customers/{id}",
  "customers/{id}/payment_methods",
  "disputes",
  "disputes/{id}",
  "invoices",
  "invoices/{id}",
  "payment_intents",
  "payment_intents/{id}",
  "payment_methods",
  "payment_methods/{id}",
  "payouts",
  "payouts/{id}",
  "prices",
  "prices/{id}",
  "products",
  "products/{id}",
  "promotion_codes",
  "promotion_codes/{id}",
  "refunds",
  "refunds/{id}",
  "subscriptions",
  "subscriptions/{id}",
  "tax_rates",
  "tax_rates/{id}",
];

/** They mint credentials, hand out sessions or secrets, or open other accounts. */
const never = [
  "account",
  "account_links",
  "account_sessions",
  "accounts",
  "apps/secrets",
  "billing_portal",
  "customer_sessions",
  "ephemeral_keys",
  "file_links",
  "files",
  "financial_connections",
  "forwarding",
  "identity",
  "issuing",
  "terminal/connection_tokens",
  "treasury",
  "webhook_endpoints",
];

const unbounded = (endpoint: string, why: string) => ({ endpoint, quote: { unbounded: why } });

export const stripe: ConnectorInput = {
  id: "stripe",
  name: "Stripe",
  upstream: "https://api.stripe.com",
  bare: ["/v1"],
  credential: { type: "bearer" },
  variables: [
    { name: "STRIPE_SECRET_KEY", is: "credential" },
    { name: "STRIPE_API_KEY", is: "credential" },
    // stripe-node takes a host alone, and stripe-go rejects answers when there is a path behind it.
    { name: "STRIPE_API_BASE", is: "bare_url" },
  ],
  body: { codec: "form-bracketed", json: true },
  idempotency: {
    header: "idempotency-key",
    replayHeader: "idempotent-replayed",
    lifeHours: 24,
    bodyField: "idempotency_key",
  },
  generatedKeys: {
    sdk: [
      // stripe-node 23.1, RequestSender.
      "stripe-node-retry-[0-9a-f-]{36}",
      // stripe-go, NewIdempotencyKey: nanoseconds and six characters.
      "[0-9]{19}_[A-Za-z0-9_-]{6}",
    ],
    // stripe-ruby, -php and -java make a bare uuid4, stripe-python 16 random bytes in that form: so may the client.
    maybe: ["[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"],
  },
  headers: [{ name: "stripe-version", pattern: "[A-Za-z0-9._; =-]{1,100}" }],
  scopedHeaders: ["stripe-account", "stripe-context"],
  scopedFields: [
    { field: "on_behalf_of", allow: "listed" },
    { field: "transfer_data.destination", allow: "listed" },
    { field: "transfer_data", allow: "beside_listed" },
    { field: "application_fee_amount", allow: "beside_listed" },
    { field: "application_fee", allow: "beside_listed" },
    { field: "destination", allow: "listed" },
  ],
  reservedFields: ["metadata.keybrake_call"],
  currencies: {
    zeroDecimal: [
      "bif",
      "clp",
      "djf",
      "gnf",
      "jpy",
      "kmf",
      "krw",
      "mga",
      "pyg",
      "rwf",
      "vnd",
      "vuv",
      "xaf",
      "xof",
      "xpf",
    ],
    threeDecimal: ["bhd", "jod", "kwd", "omr", "tnd"],
  },
  never: [...never.flatMap((path) => [`* /v1/${path}`, `* /v1/${path}/*`]), "* /oauth/*", "* /v2/*"],
  free: [
    ...reads.map((path) => `GET /v1/${path}`),
    { endpoint: "POST /v1/customers", require: [noStoredBalance] },
    { endpoint: "POST /v1/customers/{id}", require: [noStoredBalance] },
    "POST /v1/products",
    "POST /v1/products/{id}",
    "POST /v1/prices",
    "POST /v1/prices/{id}",
  ],
  rules: [
    {
      endpoint: "POST /v1/payment_intents",
      quote: {
        micros: "usd(body.amount, body.currency)",
        currency: "body.currency",
        amount: "body.amount",
        why: "gross amount of the intent",
      },
      cost: intentCost,
      pins: [tag],
      reconcile: findByTag("/v1/payment_intents"),
    },
    {
      endpoint: `POST ${intent}`,
      lookup: [{ target: intent, when: bodyChangesAmount }],
      quote: {
        micros: `${bodyChangesAmount} ? usd(${newAmount}, ${newCurrency}) : 0`,
        object: `${bodyChangesAmount} ? path.id : ""`,
        why: "the intent's new total (0 when neither amount nor currency changes)",
      },
      cost: {
        micros: `${bodyChangesAmount} ? (${intentExposure}) : 0`,
        id: "response.id",
        object: `${bodyChangesAmount} ? path.id : ""`,
      },
      reconcile: { kind: "read", target: intent, happened: asUpdated, absent: `!(${asUpdated})` },
    },
    {
      endpoint: `POST ${intent}/confirm`,
      lookup: [{ target: intent }],
      quote: {
        micros: "usd(found.amount, found.currency)",
        currency: "found.currency",
        amount: "found.amount",
        object: "path.id",
        why: "amount of the intent",
      },
      cost: intentCost,
      reconcile: {
        kind: "read",
        target: intent,
        happened: '!(response.status in ["requires_confirmation", "requires_payment_method"])',
        absent: 'response.status in ["requires_confirmation", "requires_payment_method"]',
      },
    },
    {
      endpoint: `POST ${intent}/capture`,
      lookup: [{ target: intent }],
      quote: {
        micros: `usd(found.amount_received, found.currency) + (has(body.final_capture) && body.final_capture == "false" ? usd(found.amount_capturable, found.currency) : usd(${toCapture}, found.currency))`,
        currency: "found.currency",
        amount: toCapture,
        object: "path.id",
        why: "what was captured so far and this capture",
      },
      cost: { ...intentCost, amount: "response.amount_received" },
      pins: [{ field: "amount_to_capture", value: "quote.amount" }],
      reconcile: {
        kind: "read",
        target: intent,
        happened: 'response.status in ["succeeded", "canceled"] || response.amount_received > 0',
        absent: 'response.status == "requires_capture" && response.amount_received == 0',
      },
    },
    {
      endpoint: `POST ${intent}/cancel`,
      lookup: [{ target: intent }],
      quote: {
        micros: "has(found.amount_received) ? usd(found.amount_received, found.currency) : 0",
        currency: "found.currency",
        object: "path.id",
        why: "what stays of a canceled intent",
      },
      cost: intentCost,
      reconcile: {
        kind: "read",
        target: intent,
        happened: 'response.status == "canceled"',
        absent: 'response.status != "canceled" && response.status != "processing"',
      },
    },
    {
      endpoint: `POST ${intent}/increment_authorization`,
      lookup: [{ target: intent }],
      quote: {
        micros: "usd(body.amount, string(found.currency))",
        currency: "found.currency",
        amount: "body.amount",
        object: "path.id",
        why: "the intent's new total",
      },
      cost: intentCost,
      reconcile: {
        kind: "read",
        target: intent,
        happened: "response.amount == amount(body.amount)",
        absent: "response.amount != amount(body.amount)",
      },
    },
    {
      endpoint: "POST /v1/charges",
      quote: {
        micros: "usd(body.amount, body.currency)",
        currency: "body.currency",
        amount: "body.amount",
        why: "gross amount of the charge",
      },
      cost: chargeCost,
      pins: [tag],
      reconcile: findByTag("/v1/charges", 'item.status == "failed"'),
    },
    {
      endpoint: `POST ${charge}/capture`,
      lookup: [{ target: charge }],
      quote: {
        micros: `usd(${chargeToCapture}, found.currency)`,
        currency: "found.currency",
        amount: chargeToCapture,
        object: "path.id",
        why: "what is captured of the charge",
      },
      cost: { ...chargeCost, amount: "response.amount_captured" },
      pins: [{ field: "amount", value: "quote.amount" }],
      reconcile: {
        kind: "read",
        target: charge,
        happened: "response.captured == true",
        absent: "response.captured == false",
      },
    },
    {
      endpoint: "POST /v1/refunds",
      require: [
        {
          that: "has(body.charge) != has(body.payment_intent)",
          else: "a refund names either `charge` or `payment_intent`",
        },
        {
          that: "!has(body.customer) && !has(body.origin)",
          code: "endpoint_unpriced",
          else: "refunds of a customer's balance are not priced",
        },
      ],
      lookup: [
        { target: "/v1/charges/{charge}", when: "has(body.charge)" },
        { target: "/v1/payment_intents/{payment_intent}?expand[0]=latest_charge" },
      ],
      quote: {
        micros: `usd(${refundable}, found.currency)`,
        currency: "found.currency",
        amount: refundable,
        why: "money given back: an exposure of its own",
      },
      cost: {
        micros: "usd(response.amount, response.currency)",
        currency: "response.currency",
        amount: "response.amount",
        id: "response.id",
      },
      pins: [{ field: "amount", value: "quote.amount" }, tag],
      reconcile: findByTag("/v1/refunds"),
    },
    unbounded("POST /v1/subscriptions", "a subscription charges again until it is canceled"),
    unbounded("POST /v1/checkout/sessions", "prices by id are not looked up"),
    unbounded("POST /v1/payment_links", "anybody with the link can pay"),
    unbounded("POST /v1/invoices/{id}/pay", "the invoice can change until it is paid"),
  ],
  outcomes: [
    { status: 400, when: 'has(response.error.type) && response.error.type == "idempotency_error"', outcome: "unknown" },
  ],
  errors: {
    body: {
      code: "$code",
      message: "$message",
      error: { type: "$type", code: "$code", message: "$message" },
      details: "$details",
    },
    maps: {
      type: {
        by: "status",
        values: {
          "400": "invalid_request_error",
          "401": "authentication_error",
          "403": "invalid_request_error",
          "404": "invalid_request_error",
          "429": "rate_limit_error",
        },
        default: "api_error",
      },
    },
  },
};
