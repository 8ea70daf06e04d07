/**
 * A policy: who may do what on the control plane, and within which bounds keys are issued. One document per policy, written by
 * Pulumi (or by hand) and read at each use. Its JSON schema is made of this one.
 */
import { z } from "zod";
import { labelText } from "../audit/audit-filter.ts";
import { capUsd, priceUsd } from "../control/dollars.ts";
import { lifetimeText } from "../control/duration.ts";

/** What a policy can let a principal do. */
export const policyPermissions = [
  "issue",
  "launch",
  "claim",
  "read",
  "revoke",
  "pause",
  "resume",
  "raise",
  "reconcile",
  "decide",
  "issuers",
] as const;
export type PolicyPermission = (typeof policyPermissions)[number];

/** What is of the whole proxy, or frees money: for those who see all alone. */
export const operatorsOnly = ["decide", "issuers"] as const satisfies readonly PolicyPermission[];

/** What the tasks' own account of a job may have: whoever can make keys or raise caps has no cap. */
export const taskPermissions: readonly PolicyPermission[] = ["claim", "read", "revoke"];

/** What holders of an issuer key may have: callers that no account vouches for. */
export const issuerPermissions = ["issue", "read", "revoke"] as const satisfies readonly PolicyPermission[];

/** Policy ids, and so the names of jobs, which are Cloud Run's: https://cloud.google.com/run/docs/reference/rest/v2/projects.locations.jobs (read 2026-11). */
export const policyIdText = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,62}$/, "must be 1 to 63 of a-z 0-9 -, beginning with a letter");

/** Visible ASCII without capitals: one spelling for each account, so that a look-up finds it. */
const email = z
  .string()
  .regex(/^[!-?[-~]{1,128}@[!-?[-~]{1,128}$/, "must be the e-mail address of an account, in lower case");

const principal = z.strictObject({
  /** `email`, or `sub` (the number that changes when an account is made anew under its old name); with both, both must fit. */
  email: email.optional(),
  sub: z
    .string()
    .regex(/^\d{1,64}$/, "must be a subject's number")
    .optional(),
  may: z.array(z.enum(policyPermissions)).min(1, "must list what the principal may do"),
});

const budget = z.strictObject({
  vendors: z.array(z.string().min(1).max(64)).min(1).max(20),
  allowed_endpoints: z.array(z.string().min(1).max(300)).min(1).max(200),
  accounts: z.array(z.string().min(1).max(128)).max(50).optional(),
  usd_cap: capUsd.meta({ description: "Cap of one key." }),
  daily_usd_cap: capUsd.optional().meta({ description: "Cap of one key per UTC day; needs a lifetime over 24 h." }),
  issued_usd_per_day: capUsd
    .optional()
    .meta({ description: "Sum of the caps of all keys issued in one UTC day; none: not bounded." }),
  expires_in: lifetimeText,
  label_prefix: labelText.optional().meta({ description: "Labels that `POST /vault/keys` may ask for begin so." }),
  limits: z
    .strictObject({
      per_call_usd: priceUsd.optional(),
      calls_per_minute: z.int().min(1).max(1_000_000).optional(),
      max_calls: z.int().min(1).max(1_000_000_000).optional(),
      concurrency: z.int().min(1).max(10_000).optional(),
      assume_usd: priceUsd.optional(),
    })
    .optional(),
});

const job = z.strictObject({
  project: z.string().regex(/^[a-z][a-z0-9-]{4,61}[a-z0-9]$|^\d{1,20}$/, "must be a project's id"),
  location: z.string().regex(/^[a-z]+-[a-z]+\d{1,2}$/, "must be a region, such as us-central1"),
  service_account: email.meta({ description: "The tasks' own service account; it is of no other policy." }),
  one_at_a_time: z
    .boolean()
    .default(false)
    .meta({ description: "A run is not started while another run of the job goes on." }),
  containers: z
    .array(z.string().max(63))
    .max(10)
    .default([])
    .meta({ description: "Names of the containers that get the variables; none: the job has one without a name." }),
});

export const policySchema = z.strictObject({
  version: z.literal(1),
  /** The job that this policy is of: its Cloud Run name is the policy's id. */
  job: job.optional(),
  /** E-mails and subjects of `principals`, once more as a list: what a look-up by caller reads. */
  principal_ids: z.array(z.string().max(260)).max(50),
  principals: z.array(principal).max(50),
  /** What holders of the policy's issuer keys may do; none: it has no issuer keys. */
  issuer_may: z.array(z.enum(issuerPermissions)).max(issuerPermissions.length).default([]),
  /** Whose keys and calls its principals see: the policy's own, or everybody's (an operator's policy). */
  sees: z.enum(["own", "all"]).default("own"),
  /** What its keys may do; none: its principals issue none. */
  budget: budget.optional(),
});

export interface Policy extends z.output<typeof policySchema> {
  id: string;
}
export type PolicyBudget = z.output<typeof budget>;
export type PolicyJob = z.output<typeof job>;

/** Owner of the keys of a policy: nobody else's labels are theirs. */
export const ownerOf = (policyId: string): string => `policy:${policyId}`;
