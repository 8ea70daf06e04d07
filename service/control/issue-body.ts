/** The body of `POST /vault/keys`. */
import { z } from "zod";
import { labelText } from "../audit/audit-filter.ts";
import { capUsd, priceUsd } from "./dollars.ts";
import { lifetimeText } from "./duration.ts";

/** Calls of one key at one time when `limits.concurrency` is not given. */
export const DEFAULT_CONCURRENCY = 256;

const vendorSentence = "must be a vendor's id, such as stripe";
const vendorId = z.string().min(1, vendorSentence).max(64, vendorSentence);
const endpointSentence = "must be 1 to 300 characters, such as `POST /v1/payment_intents`";
const whole = (most: number) => {
  const error = `must be a whole number from 1 to ${most}`;
  return z.int({ error }).min(1, error).max(most, error);
};

export const limitsBody = z.strictObject({
  per_call_usd: priceUsd.optional(),
  calls_per_minute: whole(1_000_000).optional(),
  max_calls: whole(1_000_000_000).optional(),
  concurrency: whole(10_000)
    .optional()
    .meta({ description: `Calls at one time; default ${DEFAULT_CONCURRENCY}.` }),
  assume_usd: priceUsd.optional().meta({ description: "What to reserve for a call that has no price." }),
});

export const issueBody = z.strictObject({
  vendor: vendorId.optional(),
  vendors: z.array(vendorId).min(1, "must list at least one vendor").max(20, "must list at most 20 vendors").optional(),
  usd_cap: capUsd.optional(),
  daily_usd_cap: capUsd.optional(),
  allowed_endpoints: z
    .array(z.string().min(1, endpointSentence).max(300, endpointSentence))
    .min(1, "must list at least one endpoint, or `*` for all that is priced or free")
    .max(200, "must list at most 200 endpoints"),
  expires_in: lifetimeText,
  label: labelText.optional(),
  agent_run_label: labelText.optional().meta({ description: "Another name of `label`." }),
  execution: labelText
    .optional()
    .meta({ description: "Cloud Run execution that the label belongs to; recorded with every call." }),
  limits: limitsBody.optional(),
  accounts: z
    .array(z.string().regex(/^[A-Za-z0-9_.-]{1,128}$/, "must be an account's id"))
    .max(50, "must list at most 50 accounts")
    .optional(),
});

export type IssueBody = z.output<typeof issueBody>;
