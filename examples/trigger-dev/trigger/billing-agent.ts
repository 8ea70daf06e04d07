/** The parent issues the run's key and hands it to its children; all of them draw on one cap. */
import { AbortTaskRunError, idempotencyKeys, task } from "@trigger.dev/sdk";
import { proxyOf } from "../billing/environment.ts";
import { issueKey, KeyRefused } from "../billing/issue-key.ts";
import { chargeCustomer } from "./charge-customer.ts";

interface Plan {
  customers: { id: string; amountCents: number }[];
  budgetUsd?: number;
}

const DEFAULT_BUDGET_USD = 500;

export const billingAgent = task({
  id: "billing-agent",
  retry: { maxAttempts: 3 },
  run: async ({ customers, budgetUsd = DEFAULT_BUDGET_USD }: Plan, { ctx }) => {
    const { keyId, vaultKey } = await issueKey(proxyOf(process.env), ctx.run.id, budgetUsd).catch((error: unknown) => {
      throw error instanceof KeyRefused ? new AbortTaskRunError(error.message) : error;
    });
    const { runs } = await chargeCustomer.batchTriggerAndWait(
      await Promise.all(
        customers.map(async ({ id, amountCents }, index) => ({
          payload: { customerId: id, amountCents, vaultKey, index },
          // A parent that is tried again waits for the children that it has, instead of starting others.
          options: { idempotencyKey: await idempotencyKeys.create([id, String(index)]) },
        })),
      ),
    );
    const charged = runs.filter((run) => run.ok).length;
    return { keyId, charged, refusedOrFailed: runs.length - charged };
  },
});
