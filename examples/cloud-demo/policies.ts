/** The policies, as documents in Firestore: written over its REST as Pulumi's `gcp.firestore.Document` writes them. */
import type { z } from "zod";
import { formatUsd } from "../../service/money.ts";
import type { policySchema } from "../../service/policies/policy.ts";
import {
  DATABASE,
  JOB,
  JOB_ACCOUNT,
  LOCATION,
  OPERATOR,
  OTHER_ACCOUNT,
  OTHER_JOB,
  PROJECT,
  SCHEDULER_ACCOUNT,
} from "./place.ts";

type PolicyDocument = z.input<typeof policySchema>;

/** @param capMicros of one execution's key. @param executions whose caps fit into one day. */
export function demoPolicies(capMicros: number, executions: number): Record<string, PolicyDocument> {
  const budget = {
    vendors: ["stripe"],
    allowed_endpoints: ["POST /v1/payment_intents"],
    usd_cap: formatUsd(capMicros),
    issued_usd_per_day: formatUsd(capMicros * executions),
    expires_in: "2h",
  };
  const job = (account: string) => ({ project: PROJECT, location: LOCATION, service_account: account });
  return {
    [JOB]: {
      version: 1,
      job: job(JOB_ACCOUNT),
      principal_ids: [SCHEDULER_ACCOUNT, JOB_ACCOUNT],
      principals: [
        { email: SCHEDULER_ACCOUNT, may: ["launch"] },
        { email: JOB_ACCOUNT, may: ["claim", "read", "revoke"] },
      ],
      budget,
    },
    [OTHER_JOB]: {
      version: 1,
      job: job(OTHER_ACCOUNT),
      principal_ids: [OTHER_ACCOUNT],
      principals: [{ email: OTHER_ACCOUNT, may: ["claim", "read", "revoke"] }],
      budget,
    },
    operators: {
      version: 1,
      principal_ids: [OPERATOR],
      principals: [{ email: OPERATOR, may: ["read", "revoke"] }],
      sees: "all",
    },
  };
}

/** @param host of the emulator. */
export async function writePolicies(host: string, policies: Record<string, PolicyDocument>): Promise<void> {
  for (const [id, policy] of Object.entries(policies)) {
    const path = `projects/${PROJECT}/databases/${DATABASE}/documents/policies/${id}`;
    const response = await fetch(`http://${host}/v1/${path}`, {
      method: "PATCH",
      // The emulator's own way to say: as the project's owner.
      headers: { authorization: "Bearer owner", "content-type": "application/json" },
      body: JSON.stringify({ fields: fieldsOf(policy) }),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok)
      throw new Error(`Firestore answered ${response.status} to policy ${id}: ${await response.text()}`);
  }
}

type Value = Record<string, unknown>;

/** Firestore's JSON of values: https://cloud.google.com/firestore/docs/reference/rest/v1/Value (read 2026-11). */
function fieldValue(value: unknown): Value {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { booleanValue: value };
  if (Number.isSafeInteger(value)) return { integerValue: String(value) };
  if (Array.isArray(value)) return { arrayValue: { values: value.map(fieldValue) } };
  if (typeof value === "object" && value !== null) return { mapValue: { fields: fieldsOf(value) } };
  throw new Error(`a policy has no ${typeof value}`);
}

function fieldsOf(object: object): Record<string, Value> {
  return Object.fromEntries(Object.entries(object).map(([name, value]) => [name, fieldValue(value)]));
}
