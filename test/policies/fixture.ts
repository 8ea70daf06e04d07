/** Policies as documents, and a place that keeps them, which counts its reads. */
import type { PolicyDocs, RecordDoc } from "../../service/stores/store.ts";

export const TASKS = "billing@my-project.iam.gserviceaccount.com";
export const SCHEDULER = "scheduler@my-project.iam.gserviceaccount.com";
export const OPERATOR = "ops@example.com";

export type Doc = Record<string, unknown>;

export function budgetDoc(more: Doc = {}): Doc {
  return { vendors: ["stripe"], allowed_endpoints: ["*"], usd_cap: "500.00", expires_in: "2h", ...more };
}

/** A policy of these principals. */
export function policyDoc(principals: readonly Doc[], more: Doc = {}): Doc {
  const ids = principals.flatMap(({ email, sub }) => [email, sub]).filter((id) => id !== undefined);
  return { version: 1, principals, principal_ids: ids, ...more };
}

/** The policy of a job: its tasks' own account, and Scheduler's, which launches it. */
export function jobDoc(more: Doc = {}): Doc {
  return policyDoc(
    [
      { email: TASKS, may: ["claim", "read", "revoke"] },
      { email: SCHEDULER, may: ["launch"] },
    ],
    {
      job: { project: "my-project", location: "us-central1", service_account: TASKS },
      budget: budgetDoc(),
      ...more,
    },
  );
}

export class MemoryPolicies implements PolicyDocs {
  readonly docs = new Map<string, Doc>();
  reads = 0;

  async byId(id: string): Promise<RecordDoc | null> {
    this.reads += 1;
    return this.docs.get(id) ?? null;
  }

  async byPrincipal(principal: string): Promise<{ id: string; doc: RecordDoc }[]> {
    this.reads += 1;
    return [...this.docs]
      .filter(([, doc]) => Array.isArray(doc.principal_ids) && doc.principal_ids.includes(principal))
      .slice(0, 3)
      .map(([id, doc]) => ({ id, doc }));
  }
}
