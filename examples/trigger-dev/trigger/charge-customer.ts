import { AbortTaskRunError, task } from "@trigger.dev/sdk";
import { type Bill, billCustomer, RunEnded } from "../billing/bill-customer.ts";
import { proxyOf } from "../billing/environment.ts";

export const chargeCustomer = task({
  id: "charge-customer",
  retry: { maxAttempts: 3 },
  run: async (bill: Bill, { ctx }) => {
    try {
      // Trigger.dev counts attempts from 1.
      return { chargeId: await billCustomer(proxyOf(process.env).url, bill, ctx.attempt.number - 1) };
    } catch (error) {
      // A spent budget is no fault that a further attempt repairs.
      throw error instanceof RunEnded ? new AbortTaskRunError(error.message) : error;
    }
  },
});
