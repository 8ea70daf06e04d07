/**
 * Resend, as data. Every recipient counts: to, cc and bcc. $0.90 per 1,000 beyond the plan (resend.com/pricing, 2026-11).
 * Broadcasts and events go to audiences whose size no request tells.
 */
import type { ConnectorInput } from "./connector.ts";

const recipients = (mail: string) =>
  `(addresses(${mail}.to) + (has(${mail}.cc) ? addresses(${mail}.cc) : 0) + (has(${mail}.bcc) ? addresses(${mail}.bcc) : 0))`;

const fields = [
  "from",
  "to",
  "subject",
  "cc",
  "bcc",
  "scheduled_at",
  "reply_to",
  "html",
  "text",
  "headers",
  "topic_id",
  "attachments",
  "tags",
  "template",
];

export const resend: ConnectorInput = {
  id: "resend",
  name: "Resend",
  upstream: "https://api.resend.com",
  bare: ["/emails", "/domains"],
  credential: { type: "bearer" },
  variables: [
    { name: "RESEND_API_KEY", is: "credential" },
    // Node's SDK reads the first, Python's the second.
    { name: "RESEND_BASE_URL", is: "base_url" },
    { name: "RESEND_API_URL", is: "base_url" },
  ],
  body: { codec: "json" },
  // No replay header: a repeat under one key answers the first id again.
  idempotency: { header: "idempotency-key", lifeHours: 24 },
  prices: { recipient: { usd: "0.0009", date: "2026-11-01", source: "resend.com/pricing, overage" } },
  never: ["* /api-keys", "* /api-keys/*", "* /webhooks", "* /webhooks/*", "* /oauth/*"],
  free: ["GET /domains", "GET /domains/{id}", "GET /emails/{id}", "GET /emails"],
  rules: [
    {
      endpoint: "POST /emails",
      fields,
      quote: {
        micros: `price("recipient") * ${recipients("body")}`,
        why: "recipients (to, cc, bcc) × the price of one",
      },
      cost: { micros: "quote.micros * 1", id: "response.id" },
      // A base64 attachment: Resend takes 40 MB, we the largest that the connector's schema allows.
      maxBodyBytes: 1_048_576,
    },
    {
      endpoint: "POST /emails/batch",
      list: "emails",
      require: [
        { that: "size(body.emails) >= 1 && size(body.emails) <= 100", else: "a batch has 1 to 100 emails" },
        { that: "body.emails.all(mail, type(mail) == map)", else: "every email of a batch is an object" },
      ],
      quote: {
        micros: `price("recipient") * sum(body.emails.map(mail, ${recipients("mail")}))`,
        why: "recipients of the batch × the price of one",
      },
      cost: { micros: "quote.micros * 1", id: "response.data[0].id" },
      maxBodyBytes: 1_048_576,
      maxFields: 8000,
    },
    {
      endpoint: "POST /broadcasts/{id}/send",
      quote: { unbounded: "the size of a broadcast's audience is not in the request" },
    },
    { endpoint: "POST /events/send", quote: { unbounded: "an event's automation may mail any number of people" } },
  ],
  errors: {
    body: { statusCode: "$status", name: "$name", message: "$message", code: "$code", details: "$details" },
    maps: {
      name: {
        by: "code",
        values: {
          cap_exhausted: "daily_quota_exceeded",
          rate_exhausted: "rate_limit_exceeded",
          key_invalid: "invalid_api_key",
          key_revoked: "invalid_api_key",
          key_expired: "invalid_api_key",
          key_paused: "restricted_api_key",
          endpoint_not_allowed: "restricted_api_key",
          endpoint_unpriced: "restricted_api_key",
          parameter_not_allowed: "restricted_api_key",
          per_call_exceeded: "restricted_api_key",
          currency_not_allowed: "restricted_api_key",
          not_found: "not_found",
          in_progress: "concurrent_idempotent_requests",
          idempotency_mismatch: "invalid_idempotent_request",
          already_settled: "invalid_idempotent_request",
          request_invalid: "validation_error",
          body_too_large: "validation_error",
          media_type_unsupported: "validation_error",
        },
        default: "application_error",
      },
    },
  },
};
