/** From a policy as it was written to one that may be used, or to the first thing that is wrong with it. Pure. */

import { DAY_MS } from "../control/duration.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import { formatUsd } from "../money.ts";
import type { RecordDoc } from "../stores/store.ts";
import { operatorsOnly, type Policy, policyIdText, policySchema, taskPermissions } from "./policy.ts";
import { scopeEndpoints, sharedPath } from "./scope-endpoints.ts";

type Vendors = ReadonlyMap<string, BudgetVendor>;

/** @param vendors Those of this proxy: a policy for another one cannot be checked, so it is wrong here. */
export function readPolicy(id: string, doc: RecordDoc, vendors: Vendors): { policy: Policy } | { fault: string } {
  const named = policyIdText.safeParse(id);
  if (!named.success) return { fault: `its id ${named.error.issues[0]!.message}` };
  const parsed = policySchema.safeParse(doc);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const path = issue.path.join(".");
    return { fault: path === "" ? issue.message : `\`${path}\`: ${issue.message}` };
  }
  const policy: Policy = { ...parsed.data, id };
  const fault = principalFault(policy) ?? jobFault(policy) ?? budgetFault(policy, vendors);
  return fault === null ? { policy } : { fault };
}

function principalFault({
  principals,
  principal_ids: ids,
  budget,
  job,
  sees,
  issuer_may: issuerMay,
}: Policy): string | null {
  const named = new Set<string>();
  for (const [index, { email, sub }] of principals.entries()) {
    if (email === undefined && sub === undefined) return `\`principals.${index}\` names no \`email\` and no \`sub\``;
    for (const one of [email, sub]) if (one !== undefined) named.add(one);
  }
  const missing = [...named].find((one) => !ids.includes(one));
  if (missing !== undefined) return `\`principal_ids\` lacks ${missing}, which is in \`principals\``;
  const surplus = ids.find((one) => !named.has(one));
  if (surplus !== undefined) return `\`principal_ids\` has ${surplus.slice(0, 260)}, which no principal names`;
  const may = new Set([...principals.flatMap((each) => each.may), ...issuerMay]);
  const needsBudget = (["issue", "claim"] as const).find((one) => may.has(one));
  if (needsBudget && !budget) return `who may ${needsBudget} needs a \`budget\``;
  if (may.has("claim") && !job) return "who may claim needs a `job`";
  // Who sees all may launch any job, each under that job's own policy.
  if (may.has("launch") && !job && sees !== "all") return "who may launch needs a `job`, or `sees` all";
  const operators = operatorsOnly.find((one) => may.has(one));
  if (operators && sees !== "all") return `who may have ${operators} needs \`sees\` all`;
  return null;
}

/**
 * The tasks' account is a principal of its job's policy and so of no other (a caller in two policies is refused): it cannot be
 * given more elsewhere, and two jobs cannot share it.
 */
function jobFault({ job, principals, sees, budget }: Policy): string | null {
  if (!job) return null;
  const own = principals.filter(({ email }) => email === job.service_account);
  if (own.length === 0) return `\`principals\` lacks the job's own account ${job.service_account}`;
  const excess = own.flatMap(({ may }) => may).find((one) => !taskPermissions.includes(one));
  if (excess) return `the job's own account may not ${excess}; it may have ${taskPermissions.join(", ")}`;
  if (sees !== "own") return "a job's policy must have `sees` own";
  if (!budget) return "a job needs a `budget`";
  const { issued_usd_per_day: perDay, usd_cap: cap } = budget;
  if (perDay !== undefined && perDay < cap) {
    return `\`budget.issued_usd_per_day\` (${formatUsd(perDay)}) is less than the cap of one run (${formatUsd(cap)}): none could start`;
  }
  return null;
}

function budgetFault({ budget, job }: Policy, known: Vendors): string | null {
  if (!budget) return null;
  const unknown = budget.vendors.find((id) => !known.has(id));
  if (unknown !== undefined) {
    return `\`budget.vendors\`: there is no vendor ${unknown}; this proxy has ${[...known.keys()].join(", ") || "none"}`;
  }
  const vendors = [...new Set(budget.vendors)].map((id) => known.get(id)!);
  const shared = job ? sharedPath(vendors) : null;
  if (shared !== null) return `\`budget.vendors\`: ${shared}, so no key of the job can be for both`;
  if (budget.daily_usd_cap !== undefined && budget.expires_in <= DAY_MS) {
    return "`budget.daily_usd_cap` needs a lifetime over 24 h; for a shorter one `usd_cap` is the cap";
  }
  try {
    scopeEndpoints(budget.allowed_endpoints, vendors);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return `\`budget\`: ${error.message.replace(/^\w+: /, "")}`;
    throw error;
  }
}
