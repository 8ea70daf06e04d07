/** Shapes of the control plane's answers: the OpenAPI file is made of them, and the tests check every answer against it. */
import { z } from "zod";
import { type Code, catalogue } from "../errors.ts";

const usd = z
  .string()
  .regex(/^-?\d+\.\d{2,6}$/)
  .meta({ description: "Dollars as a decimal string." });
const micros = z.int().meta({ description: "Micro-USD (1 USD = 1,000,000)." });
const count = z.int().min(0);
const time = z.iso.datetime();
const cursor = z
  .string()
  .nullable()
  .meta({ description: "Send it as `cursor` to go on; `null` at the end. Rows added meanwhile do not shift it." });

export const errorShape = z
  .looseObject({
    code: z.enum(Object.keys(catalogue) as [Code, ...Code[]]),
    message: z.string().meta({ description: "One sentence that begins with the code and names the fix." }),
  })
  .meta({ id: "Error" });

export const keyShape = z
  .strictObject({
    key_id: z.string(),
    label: z.string(),
    execution: z.string().nullable().meta({ description: "Cloud Run execution that the label belongs to." }),
    owner: z.string(),
    status: z.enum(["active", "paused", "revoked", "expired"]),
    reason: z.string().nullable().meta({ description: "Why it is paused or revoked." }),
    vendors: z.array(z.string()),
    allowed_endpoints: z.array(z.string()),
    accounts: z.array(z.string()),
    reduced: z
      .array(z.string())
      .meta({ description: "Fields that the caller's policy granted less of than was asked, such as `usd_cap`." }),
    limits: z.strictObject({
      per_call_usd: usd.nullable(),
      per_call_micros: micros.nullable(),
      calls_per_minute: count.nullable(),
      max_calls: count.nullable(),
      concurrency: count,
      assume_usd: usd.nullable(),
      assume_micros: micros.nullable(),
    }),
    cap_usd: usd.nullable().meta({ description: "Lifetime cap; `null` when only a daily cap bounds the key." }),
    cap_micros: micros.nullable(),
    daily_cap_usd: usd.nullable(),
    daily_cap_micros: micros.nullable(),
    spent_usd: usd,
    spent_micros: micros,
    spent_today_usd: usd.meta({ description: "Spent in the current UTC day." }),
    spent_today_micros: micros,
    reserved_usd: usd.meta({ description: "Held by calls that are in flight or unknown." }),
    reserved_micros: micros,
    available_usd: usd.meta({ description: "What a new reservation may still take." }),
    available_micros: micros,
    counts: z.strictObject({ calls: count, reserved: count, settled: count, released: count, unknown: count }),
    refusals: z.record(z.string(), count).meta({ description: "Refused calls of this key by code." }),
    refusals_without_row: count.meta({ description: "Refusals beyond the audit rows kept of one key's refusals." }),
    created_at: time,
    expires_at: time,
    updated_at: time,
    chain_length: count,
    chain_head: z.string(),
  })
  .meta({ id: "VaultKey" });

export const issuedKeyShape = z
  .strictObject({ ...keyShape.shape, vault_key: z.string().meta({ description: "The secret text, `vk_…`." }) })
  .meta({ id: "IssuedVaultKey" });

export const revokedKeyShape = z
  .strictObject({
    ...keyShape.shape,
    in_flight: count.meta({ description: "Calls reserved before the revocation that have no outcome yet." }),
    held_usd: usd.meta({ description: "What calls in flight and unknown ones hold." }),
    held_micros: micros,
  })
  .meta({ id: "RevokedVaultKey" });

export const keyListShape = z
  .strictObject({ keys: z.array(keyShape), next_cursor: cursor })
  .meta({ id: "VaultKeyList" });

export const callStates = ["reserved", "settled", "released", "unknown", "refused"] as const;

export const callShape = z
  .strictObject({
    call_id: z.string(),
    key_id: z.string(),
    label: z.string(),
    vendor: z.string(),
    endpoint: z.string().meta({ description: "`METHOD /path` of the connector's rule." }),
    method: z.string(),
    path: z.string().meta({ description: "Path as sent to the vendor." }),
    state: z.enum(callStates),
    code: z.string().nullable().meta({ description: "Why it was refused or released, or is unknown." }),
    status: z.int().nullable().meta({ description: "The vendor's HTTP status." }),
    object_id: z.string().nullable(),
    currency: z.string().nullable(),
    amount_minor: z.int().nullable(),
    cost_usd: usd,
    cost_micros: micros,
    quote_usd: usd,
    quote_micros: micros,
    reserved_usd: usd,
    reserved_micros: micros,
    price_pending: z.boolean().meta({ description: "Settled at the quote; the vendor names the price later." }),
    execution: z.string().nullable(),
    task_index: z.int().nullable(),
    task_attempt: z.int().nullable(),
    identity: z
      .enum(["key", "dedupe", "task", "generated_key", "none"])
      .meta({ description: "How the retry shield recognises a repeat." }),
    generation: z.int().meta({ description: "With the call's id the idempotency key at the vendor." }),
    sends: count.meta({ description: "How often it was sent to the vendor." }),
    created_at: time,
    updated_at: time,
    settled_at: time.nullable(),
  })
  .meta({ id: "Call" });

export const recordShape = z
  .strictObject({
    n: count,
    at: z.int().meta({ description: "Milliseconds since the epoch." }),
    act: z.string(),
    call_id: z.string().nullable(),
    reserved_micros: micros.meta({ description: "Change of what is reserved." }),
    spent_micros: micros.meta({ description: "Change of what is spent." }),
    cap_micros: micros.nullable().meta({ description: "New lifetime cap, where the act sets one." }),
    by: z.string().nullable(),
    reason: z.string().nullable(),
    hash: z.string().meta({
      description:
        "SHA-256 (hex) of the hash before (64 zeros for the first), a newline, and the JSON array [n, at, act, call_id, reserved_micros, spent_micros, cap_micros, by, reason] without spaces.",
    }),
  })
  .meta({ id: "ChainRecord" });

export const callDetailShape = z
  .strictObject({
    ...callShape.shape,
    transitions: z.array(recordShape).meta({ description: "Its records in the key's hash chain, in order." }),
    transitions_left_off: count.meta({
      description: "Transitions that are not shown: older ones, and those past the retention.",
    }),
  })
  .meta({ id: "CallDetail" });

export const callListShape = z
  .strictObject({ calls: z.array(callShape), next_cursor: cursor })
  .meta({ id: "CallList" });

export const summaryShape = z
  .strictObject({
    groups: z.array(
      z.strictObject({
        key: z
          .string()
          .nullable()
          .meta({ description: "The task, vendor, endpoint or execution; `null`: none known." }),
        calls: count.meta({ description: "Calls that were not refused." }),
        settled: count,
        released: count,
        unknown: count,
        refused: count,
        spent_usd: usd,
        spent_micros: micros,
        reserved_usd: usd,
        reserved_micros: micros,
      }),
    ),
  })
  .meta({ id: "Summary" });

const proofEnd = {
  key_id: z.string(),
  label: z.string(),
  records: count,
  balance: z.strictObject({
    cap_usd: usd.nullable(),
    cap_micros: micros.nullable(),
    spent_usd: usd,
    spent_micros: micros,
    reserved_usd: usd,
    reserved_micros: micros,
  }),
  chain_head: z.string(),
  verified: z.boolean().meta({ description: "Every hash fits, and the records add up to the key's balance." }),
  fault: z.string().nullable().meta({ description: "What does not fit." }),
  retention_passed: z.boolean().meta({
    description:
      "The records are not kept any more, since the key's end and the days of retention are over: nothing is proved, and the balance and the head are what the key's document says.",
  }),
};

export const proofEndShape = z.strictObject(proofEnd).meta({ id: "ProofEnd" });

export const proofShape = z
  .strictObject({ calls: z.array(recordShape), ...proofEnd })
  .meta({ id: "Proof", description: "`calls` are the chain's records, operator's acts included." });

export const reconcileShape = z
  .looseObject({ settled: count, released: count, unknown: count })
  .meta({ id: "Reconciled" });

export const claimedShape = z
  .strictObject({
    key_id: z.string(),
    vault_key: z.string().meta({ description: "The secret text, `vk_…`." }),
    run_id: z.string().nullable().meta({ description: "The run that started the execution; `null`: none did." }),
    variables: z
      .array(
        z.strictObject({
          name: z.string(),
          kind: z.enum(["credential", "path", "text"]).meta({
            description:
              "`credential`: the vault key, to which a task appends `~<index>~<attempt>`. `path`: the proxy's URL with this path behind it. `text`: as it is.",
          }),
          value: z.string(),
        }),
      )
      .meta({ description: "What the tasks need in their environment." }),
  })
  .meta({ id: "ClaimedKey" });

export const launchedShape = z
  .strictObject({
    run_id: z.string().meta({ description: "Name of the run: the same for every request that means it." }),
    state: z.enum(["started", "skipped"]).meta({
      description: "`skipped`: the job runs one at a time, another run goes on, and this one has no key.",
    }),
    execution: z.string().nullable().meta({ description: "Short name of the Cloud Run execution." }),
    key_id: z.string().nullable(),
    label: z.string().nullable().meta({ description: "The key's label." }),
    key: keyShape.nullable().meta({ description: "The key's live balance." }),
  })
  .meta({ id: "LaunchedRun" });

export const issuerShape = z
  .strictObject({
    issuer_id: z.string(),
    policy: z.string().meta({ description: "Policy that the key's holder acts under." }),
    label: z.string().nullable(),
    status: z.enum(["active", "revoked"]),
    created_at: time,
    created_by: z.string(),
    revoked_at: time.nullable(),
    revoked_by: z.string().nullable(),
  })
  .meta({ id: "Issuer" });

export const issuedIssuerShape = z
  .strictObject({
    ...issuerShape.shape,
    issuer_key: z.string().meta({ description: "The secret text, `kbi_…`: shown in this answer only." }),
  })
  .meta({ id: "IssuedIssuer" });

export const issuerListShape = z
  .strictObject({ issuers: z.array(issuerShape), next_cursor: cursor })
  .meta({ id: "IssuerList" });

export const healthShape = z.strictObject({ status: z.literal("ok") }).meta({ id: "Health" });
