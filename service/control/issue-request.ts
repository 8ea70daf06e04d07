/** `POST /vault/keys`: from the body as asked to what the ledger is asked. Pure. */
import { Refusal } from "../errors.ts";
import type { IssueRequest } from "../ledger/ledger.ts";
import { formatUsd } from "../money.ts";
import { nearest } from "../nearest.ts";
import { DAY_MS } from "./duration.ts";
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
      allowedEndpoints: checkEndpoints(body.allowed_endpoints, chosen),
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
  for (const [index, left] of chosen.entries()) {
    for (const right of chosen.slice(index + 1)) {
      const shared = overlap(left, right) ?? overlap(right, left);
      if (shared === null) continue;
      throw invalid(`${left.id} and ${right.id} both have the path ${shared}; issue one key for each`);
    }
  }
  return chosen;
}

/** A bare path of `left` that `right` would answer too: then the vendor of such a request could not be told. */
function overlap(left: BudgetVendor, right: BudgetVendor): string | null {
  for (const { endpoint } of left.endpoints) {
    const path = endpoint.slice(endpoint.indexOf(" ") + 1);
    const segments = path
      .split("/")
      .slice(1)
      .map((segment) => segment.replace(/\{[^}]*\}/g, "x"));
    if (left.ownsPath(segments) && right.ownsPath(segments)) return path;
  }
  return null;
}

function chooseCaps(body: IssueBody): Pick<IssueRequest, "capMicros" | "dailyCapMicros"> {
  const { usd_cap: cap, daily_usd_cap: daily } = body;
  if (cap === undefined && daily === undefined) {
    throw invalid('the cap is missing; send `usd_cap` for the key\'s life, such as "500.00", or `daily_usd_cap`');
  }
  // A key that lives a day or less gets one window for its life: a job that runs across midnight must not spend twice.
  if (daily !== undefined && body.expires_in <= DAY_MS) {
    return { capMicros: Math.min(cap ?? daily, daily), dailyCapMicros: null };
  }
  return { capMicros: cap ?? null, dailyCapMicros: daily ?? null };
}

/** As the scope keeps them: bare with one vendor, `vendor:entry` with several. */
function checkEndpoints(entries: readonly string[], vendors: readonly BudgetVendor[]): string[] {
  const [only] = vendors;
  const single = vendors.length === 1;
  const names = vendors.map(({ id }) => id);
  const checked = entries.flatMap((entry) => {
    const prefixed = /^([^\s:/]+):(.*)$/s.exec(entry);
    const vendor = prefixed ? vendors.find((candidate) => candidate.id === prefixed[1]) : single ? only : undefined;
    if (!prefixed && !single && entry === "*") return vendors.map((each) => `${each.id}:*`);
    if (prefixed && !vendor) {
      throw invalid(
        `\`${entry.slice(0, 200)}\` names a vendor that this key is not for; it is for ${names.join(", ")}`,
      );
    }
    if (!vendor) {
      const example = `${names[0]}:${entry}`.slice(0, 200);
      throw invalid(`with several vendors an endpoint names its own: write \`${example}\``);
    }
    const bare = prefixed ? prefixed[2]! : entry;
    const wrong = vendor.checkAllowed(bare);
    if (wrong !== null) throw invalid(`\`allowed_endpoints\`: ${wrong}`);
    return [single ? bare : `${vendor.id}:${bare}`];
  });
  return [...new Set(checked)];
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
