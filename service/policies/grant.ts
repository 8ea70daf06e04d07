/** What a caller gets under a policy: what it asks for and what the policy allows, whichever is less, field by field. Pure. */
import { DAY_MS } from "../control/duration.ts";
import { DEFAULT_CONCURRENCY } from "../control/issue-body.ts";
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";
import type { IssueRequest } from "../ledger/ledger.ts";
import type { Scope } from "../ledger/types.ts";
import { intersectEntries } from "./intersect-endpoints.ts";
import { ownerOf, type Policy, type PolicyBudget } from "./policy.ts";
import { endpointsByVendor, endpointsOfScope, scopeEndpoints } from "./scope-endpoints.ts";

type Vendors = ReadonlyMap<string, BudgetVendor>;
type Caps = Pick<IssueRequest, "capMicros" | "dailyCapMicros">;

/** The parts of an {@link IssueRequest} that a budget decides. */
export type Granted = Pick<
  IssueRequest,
  "owner" | "scope" | "capMicros" | "dailyCapMicros" | "expiresAt" | "day" | "reduced"
>;

/** Entries of one key's allow-list: the key's document is written with every call, so it stays small. */
const MAX_ENDPOINTS = 200;

const denied = (sentence: string): Refusal => new Refusal("policy_denied", sentence);

/** A key that lives a day or less gets one window for its life: a job that runs across midnight must not spend twice. */
export function capsFor(cap: number | null, daily: number | null, lifetimeMs: number): Caps {
  if (daily !== null && lifetimeMs <= DAY_MS) return { capMicros: least(cap, daily), dailyCapMicros: null };
  return { capMicros: cap, dailyCapMicros: daily };
}

/**
 * What is issued of what was asked. `asked` itself, which a repeat is compared with, stays as it was.
 * Throws `policy_denied` when nothing is left, with what the policy has instead.
 */
export function grant(request: IssueRequest, policy: Policy, vendors: Vendors, now: number): IssueRequest {
  const budget = budgetOf(policy);
  const { label_prefix: prefix } = budget;
  if (prefix !== undefined && !request.label.startsWith(prefix)) {
    throw denied(`labels of policy \`${policy.id}\` begin with \`${prefix}\`; ask for such a label`);
  }
  // The first key of an execution's name keeps it: nobody may take the name of somebody else's.
  if (request.execution !== null) {
    throw denied("only the setup task and the admin key name an `execution`; leave it out, or launch or claim the job");
  }
  const lifetimeMs = Math.min(request.expiresAt - now, budget.expires_in);
  const caps = capsFor(
    least(request.capMicros, budget.usd_cap),
    least(request.dailyCapMicros, budget.daily_usd_cap ?? null),
    lifetimeMs,
  );
  const scope = meetScopes(request.scope, scopeOf(budget, vendors), policy.id, vendors);
  const granted = { ...request, scope, ...caps, expiresAt: now + lifetimeMs };
  const reduced = reducedFields(request, granted);
  return { ...granted, ...dayOf(policy), ...(reduced.length > 0 && { reduced }) };
}

/**
 * The budget of a key that the policy's own job gets: all that the policy allows, or less.
 * @param capMicros Less than the policy's cap, or `null`. More than it is reduced to it.
 */
export function budgetFromPolicy(policy: Policy, vendors: Vendors, capMicros: number | null, now: number): Granted {
  const budget = budgetOf(policy);
  const { concurrency, ...scope } = scopeOf(budget, vendors);
  return {
    owner: ownerOf(policy.id),
    scope: { ...scope, concurrency: Number.isFinite(concurrency) ? concurrency : DEFAULT_CONCURRENCY },
    ...capsFor(Math.min(capMicros ?? budget.usd_cap, budget.usd_cap), budget.daily_usd_cap ?? null, budget.expires_in),
    expiresAt: now + budget.expires_in,
    ...dayOf(policy),
    ...(capMicros !== null && capMicros > budget.usd_cap && { reduced: ["usd_cap"] }),
  };
}

function budgetOf({ budget, id }: Policy): PolicyBudget {
  if (!budget) throw denied(`policy \`${id}\` has no budget, so it issues no keys`);
  return budget;
}

function dayOf({ id, budget }: Policy): Pick<IssueRequest, "day"> {
  const limit = budget?.issued_usd_per_day;
  return limit === undefined ? {} : { day: { policy: id, limitMicros: limit } };
}

/** The policy's budget as a scope; what it does not bound is `null`, calls at one time infinite. */
function scopeOf(budget: PolicyBudget, known: Vendors): Scope {
  const vendors = [...new Set(budget.vendors)].map((id) => {
    const vendor = known.get(id);
    if (!vendor) throw new Error(`a policy with the vendor ${id} that this proxy lacks was not refused`);
    return vendor;
  });
  const { limits } = budget;
  return {
    vendors: vendors.map(({ id }) => id),
    allowedEndpoints: scopeEndpoints(budget.allowed_endpoints, vendors),
    accounts: [...new Set(budget.accounts)],
    perCallMicros: limits?.per_call_usd ?? null,
    callsPerMinute: limits?.calls_per_minute ?? null,
    maxCalls: limits?.max_calls ?? null,
    concurrency: limits?.concurrency ?? Number.POSITIVE_INFINITY,
    assumeMicros: limits?.assume_usd ?? null,
  };
}

function meetScopes(asked: Scope, policy: Scope, policyId: string, vendors: Vendors): Scope {
  const found = meetVendors(asked, policy, policyId, vendors);
  const accounts = asked.accounts.filter((account) => policy.accounts.includes(account));
  if (accounts.length === 0 && asked.accounts.length > 0) {
    throw denied(
      `policy \`${policyId}\` allows none of the accounts that you ask for; it has ${some(policy.accounts)}`,
    );
  }
  return {
    vendors: [...found.keys()],
    allowedEndpoints: endpointsOfScope(found),
    accounts,
    perCallMicros: least(asked.perCallMicros, policy.perCallMicros),
    callsPerMinute: least(asked.callsPerMinute, policy.callsPerMinute),
    maxCalls: least(asked.maxCalls, policy.maxCalls),
    concurrency: Math.min(asked.concurrency, policy.concurrency),
    // To assume less is to let more through: the larger one bounds, and without either the call is refused.
    assumeMicros:
      asked.assumeMicros === null || policy.assumeMicros === null
        ? null
        : Math.max(asked.assumeMicros, policy.assumeMicros),
  };
}

/** The vendors of both sides with the endpoints of both. One whose asked endpoints the policy all lacks is left out. */
function meetVendors(asked: Scope, policy: Scope, policyId: string, vendors: Vendors): Map<string, string[]> {
  const allowed = endpointsByVendor(policy.vendors, policy.allowedEndpoints);
  const found = new Map<string, string[]>();
  for (const [id, entries] of endpointsByVendor(asked.vendors, asked.allowedEndpoints)) {
    const theirs = allowed.get(id);
    if (!theirs) continue;
    const shared = intersectEntries(entries, theirs, vendors.get(id)?.endpoints ?? []);
    if (shared.length > 0 || entries.length === 0) found.set(id, shared);
  }
  const count = [...found.values()].reduce((sum, entries) => sum + entries.length, 0);
  if (count > MAX_ENDPOINTS) {
    throw denied(`what you ask for and policy \`${policyId}\` share over ${MAX_ENDPOINTS} endpoints; ask for fewer`);
  }
  if (count > 0) return found;
  if (!asked.vendors.some((id) => allowed.has(id))) {
    throw denied(`policy \`${policyId}\` is for ${some(policy.vendors)}, not for ${some(asked.vendors)}`);
  }
  throw denied(
    `policy \`${policyId}\` allows none of the endpoints that you ask for; it has ${some(policy.allowedEndpoints)}`,
  );
}

/** Fields of the request that got less than what was asked, or a bound where none was asked. */
function reducedFields(asked: IssueRequest, granted: IssueRequest): string[] {
  const [from, to] = [asked.scope, granted.scope];
  const was = endpointsByVendor(from.vendors, from.allowedEndpoints);
  const is = endpointsByVendor(to.vendors, to.allowedEndpoints);
  const narrower = [...is].some(([id, entries]) => was.get(id)?.some((entry) => !entries.includes(entry)));
  const fields: [string, boolean][] = [
    ["vendors", to.vendors.length < from.vendors.length],
    ["allowed_endpoints", narrower],
    ["accounts", to.accounts.length < from.accounts.length],
    ["usd_cap", asked.capMicros !== granted.capMicros],
    ["daily_usd_cap", granted.dailyCapMicros !== null && asked.dailyCapMicros !== granted.dailyCapMicros],
    ["expires_in", granted.expiresAt < asked.expiresAt],
    ["limits.per_call_usd", from.perCallMicros !== to.perCallMicros],
    ["limits.calls_per_minute", from.callsPerMinute !== to.callsPerMinute],
    ["limits.max_calls", from.maxCalls !== to.maxCalls],
    ["limits.concurrency", from.concurrency !== to.concurrency],
    ["limits.assume_usd", from.assumeMicros !== to.assumeMicros],
  ];
  return fields.flatMap(([name, changed]) => (changed ? [name] : []));
}

/** The smaller one; `null` bounds nothing. */
function least(left: number | null, right: number | null): number | null {
  if (left === null || right === null) return left ?? right;
  return Math.min(left, right);
}

/** The first few, for a sentence. */
function some(list: readonly string[]): string {
  if (list.length === 0) return "none";
  const shown = list.slice(0, 5).map((each) => `\`${each}\``);
  return `${shown.join(", ")}${list.length > shown.length ? ` and ${list.length - shown.length} more` : ""}`;
}
