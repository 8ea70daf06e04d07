/** `POST /vault/keys`: from the body as asked to what the ledger is asked. Pure. */
import { Refusal } from "../errors.ts";
import type { IssueRequest } from "../ledger/ledger.ts";
import { formatUsd } from "../money.ts";
import { nearest } from "../nearest.ts";
import { capsFor } from "../policies/grant.ts";
import { scopeEndpoints, sharedPath } from "../policies/scope-endpoints.ts";
import { DEFAULT_CONCURRENCY, type IssueBody } from "./issue-body.ts";
import type { Principal } from "./principal.ts";
import type { BudgetVendor } from "./route.ts";

const invalid = (sentence: string): Refusal => new Refusal("request_invalid", sentence);

/** Throws `request_invalid` with the fix. */
export function toIssueRequest(
  body: IssueBody,
  principal: Principal,
  vendors: ReadonlyMap<string, BudgetVendor>,
  pepperVersion: number,
  now: number,
): IssueRequest {
  const chosen = chooseVendors(body, vendors);
  const { limits } = body;
  return {
    owner: principal.owner,
    label: chooseLabel(body),
    execution: body.execution ?? null,
    asked: canonicalAsked(body, chosen),
    scope: {
      vendors: chosen.map((vendor) => vendor.id),
      allowedEndpoints: scopeEndpoints(body.allowed_endpoints, chosen),
      accounts: [...new Set(body.accounts)],
      perCallMicros: limits?.per_call_usd ?? null,
      callsPerMinute: limits?.calls_per_minute ?? null,
      maxCalls: limits?.max_calls ?? null,
      concurrency: limits?.concurrency ?? DEFAULT_CONCURRENCY,
      assumeMicros: limits?.assume_usd ?? null,
    },
    ...chooseCaps(body),
    expiresAt: now + body.expires_in,
    by: principal.by,
    pepperVersion,
  };
}

function chooseLabel({ label, agent_run_label: alias }: IssueBody): string {
  if (label !== undefined && alias !== undefined && label !== alias) {
    throw invalid("`label` and `agent_run_label` are two names of one field and differ; send one of them");
  }
  const chosen = label ?? alias;
  if (chosen === undefined) throw invalid("`label` is missing; name the run, such as the execution's name");
  return chosen;
}

function chooseVendors({ vendor, vendors }: IssueBody, known: ReadonlyMap<string, BudgetVendor>): BudgetVendor[] {
  if ((vendor === undefined) === (vendors === undefined)) {
    throw invalid('send either `vendor`, such as "stripe", or `vendors`, a list of several');
  }
  const chosen = [...new Set(vendors ?? [vendor!])].map((id) => {
    const found = known.get(id);
    if (found) return found;
    const names = [...known.keys()];
    const near = nearest(id, names);
    const fix = near
      ? `did you mean \`${near}\`?`
      : `this proxy has ${names.join(", ") || "none; set KEYBRAKE_VENDORS"}`;
    throw invalid(`there is no vendor \`${id}\`; ${fix}`);
  });
  const shared = sharedPath(chosen);
  if (shared !== null) throw invalid(`${shared}; issue one key for each`);
  return chosen;
}

function chooseCaps(body: IssueBody): Pick<IssueRequest, "capMicros" | "dailyCapMicros"> {
  const { usd_cap: cap, daily_usd_cap: daily } = body;
  if (cap === undefined && daily === undefined) {
    throw invalid('the cap is missing; send `usd_cap` for the key\'s life, such as "500.00", or `daily_usd_cap`');
  }
  return capsFor(cap ?? null, daily ?? null, body.expires_in);
}

/**
 * The body as asked, label aside, in one text for all ways to ask the same: aliases, dollars as number or string, units of the
 * lifetime, order and repeats in lists. What was not asked stays out, so a default that changes breaks no retry.
 */
function canonicalAsked(body: IssueBody, vendors: readonly Pick<BudgetVendor, "id">[]): string {
  const dollars = (micros: number | undefined) => (micros === undefined ? undefined : formatUsd(micros));
  const set = (list: readonly string[] | undefined) => (list === undefined ? undefined : [...new Set(list)].sort());
  const { limits } = body;
  return JSON.stringify({
    accounts: set(body.accounts),
    allowed_endpoints: set(body.allowed_endpoints),
    daily_usd_cap: dollars(body.daily_usd_cap),
    execution: body.execution,
    expires_in_ms: body.expires_in,
    limits: limits && {
      assume_usd: dollars(limits.assume_usd),
      calls_per_minute: limits.calls_per_minute,
      concurrency: limits.concurrency,
      max_calls: limits.max_calls,
      per_call_usd: dollars(limits.per_call_usd),
    },
    usd_cap: dollars(body.usd_cap),
    vendors: set(vendors.map((vendor) => vendor.id)),
  });
}
