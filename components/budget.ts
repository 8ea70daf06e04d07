/** A budget as props have it → as policies have it. */
import type * as pulumi from "@pulumi/pulumi";
import type { JobBudget } from "./budget-args";
import { type Fault, type Faults, known } from "./faults";
import { map } from "./inputs";
import { policyLimits } from "./limits";
import type { ProxyReference } from "./reference";
import { lifetimeMs, MAX_LIFETIME_MS, nearest, openVendors, wholeCents } from "./service-rules";

const MAX_ENDPOINTS = 200;
const DAY_MS = 86_400_000;

export interface BudgetBounds {
  proxy: ProxyReference;
  /** The key must live as long, seconds: one attempt of a task. */
  leastSeconds: number;
  /** Used where no life is said, seconds; `null`: it must be said. */
  defaultSeconds: number | null;
}

/** Checks the budget. @returns it in the form of `service/policies/policy.ts`. */
export function policyBudget(
  faults: Faults,
  budget: JobBudget,
  { proxy, leastSeconds, defaultSeconds }: BudgetBounds,
): object {
  checkVendors(faults, budget, proxy);
  if (mayBeRight(budget.vendors, proxy)) checkEndpoints(faults, budget, proxy);
  const { limits, accounts } = budget;
  return {
    vendors: budget.vendors,
    allowed_endpoints: budget.allowedEndpoints,
    accounts,
    usd_cap: dollars(faults, "budget.usdCap", budget.usdCap),
    daily_usd_cap: dailyCap(faults, budget, defaultSeconds),
    issued_usd_per_day: issuedPerDay(faults, budget),
    expires_in: lifetime(faults, budget.expiresIn, leastSeconds, defaultSeconds),
    limits: limits && policyLimits(faults, limits),
  };
}

function dollars(faults: Faults, prop: string, usd: pulumi.Input<number>): pulumi.Input<string> {
  faults.check(prop, usd, (value): Fault | null =>
    value > 0 && wholeCents(value) !== null
      ? null
      : { wrong: "which is not an amount of US dollars in whole cents over 0", valid: "500 or 0.5" },
  );
  return map(usd, (value) => wholeCents(value) ?? "0");
}

/** For a shorter life the cap of the key is what counts, and a day's end would renew nothing. */
function dailyCap(
  faults: Faults,
  { dailyUsdCap, expiresIn = "" }: JobBudget,
  defaultSeconds: number | null,
): pulumi.Input<string> | undefined {
  if (dailyUsdCap === undefined) return undefined;
  faults.check("budget.dailyUsdCap", { dailyUsdCap, expiresIn }, (read): Fault | null => {
    const ms = read.expiresIn === "" ? (defaultSeconds ?? 0) * 1_000 : lifetimeMs(read.expiresIn);
    // A life that is none is told elsewhere.
    if (ms === null || ms > DAY_MS) return null;
    return {
      value: read.dailyUsdCap,
      wrong: "and the key lives 24 h at most",
      valid: 'one with { expiresIn: "2d" }, or none',
    };
  });
  return dollars(faults, "budget.dailyUsdCap", dailyUsdCap);
}

function issuedPerDay(faults: Faults, { usdCap, issuedUsdPerDay }: JobBudget): pulumi.Input<string> | undefined {
  if (issuedUsdPerDay === undefined) return undefined;
  faults.check(
    "budget.issuedUsdPerDay",
    { usdCap, issuedUsdPerDay },
    ({ usdCap: cap, issuedUsdPerDay: perDay }): Fault | null =>
      perDay < cap
        ? {
            value: perDay,
            wrong: `less than the \`usdCap\` of one run (${cap}), so that none could start`,
            valid: String(cap * 2),
          }
        : null,
  );
  return dollars(faults, "budget.issuedUsdPerDay", issuedUsdPerDay);
}

function checkVendors(faults: Faults, { vendors }: JobBudget, proxy: ProxyReference): void {
  if (vendors.length === 0) faults.add("budget.vendors", [], "so that the key is for nothing", '["stripe"]');
  faults.check("budget.vendors", proxy.vendors, (ids): Fault | null => {
    const wrong = vendors.find((id) => !ids.includes(id));
    if (wrong === undefined) return null;
    const valid = `["${nearest(wrong, ids) ?? ids[0]}"]`;
    return { value: vendors, wrong: `and the proxy has no vendor ${wrong} but ${ids.join(", ")}`, valid };
  });
  faults.check("budget.vendors", proxy.connectors ?? "", (connectors): Fault | null => {
    const twice = conflict(openVendors(connectors || null).variables(vendors));
    const wrong = `and two of them set the variable ${twice} to different values`;
    return twice === null ? null : { value: vendors, wrong, valid: "one of the two" };
  });
}

/** Endpoints of vendors that are wrong themselves would be told a second time. */
function mayBeRight(vendors: string[], proxy: ProxyReference): boolean {
  const ids = known(proxy.vendors);
  return vendors.length > 0 && (!ids.is || vendors.every((id) => (ids.value as string[]).includes(id)));
}

/** @returns a name that two vendors mean differently. */
function conflict(variables: readonly { name: string; is: string; path: string }[]): string | null {
  const seen = new Map<string, string>();
  for (const { name, is, path } of variables) {
    const meaning = `${is} ${path}`;
    if ((seen.get(name) ?? meaning) !== meaning) return name;
    seen.set(name, meaning);
  }
  return null;
}

function checkEndpoints(
  faults: Faults,
  { vendors, allowedEndpoints }: JobBudget,
  { connectors = "" }: ProxyReference,
): void {
  faults.check("budget.allowedEndpoints", { allowedEndpoints, connectors }, (read): Fault | null => {
    const { entriesFault, ids } = openVendors(read.connectors || null);
    const entries = read.allowedEndpoints;
    const valid = '["POST /v1/payment_intents"]';
    if (entries.length === 0) return { value: [], wrong: "so that the key may do nothing", valid };
    if (entries.length > MAX_ENDPOINTS)
      return { value: `${entries.length} entries`, wrong: `over ${MAX_ENDPOINTS}`, valid };
    if (!vendors.every((id) => ids.includes(id))) return null;
    for (const entry of entries) {
      const fault = entriesFault([entry], vendors);
      if (fault !== null) return endpointFault(entry, fault);
    }
    return null;
  });
}

/** The service's sentence names the entry, then the nearest ones. */
function endpointFault(entry: string, fault: string): Fault {
  const [wrong = fault] = fault.replace(`\`${entry}\``, "which").split("; ");
  const proposals = [...fault.matchAll(/`([^`]+)`/g)]
    .map(([, text]) => text)
    .filter((text) => text !== entry && text !== "METHOD /path");
  return { value: entry, wrong, valid: `"${proposals.find((text) => text !== "*") ?? "*"}"` };
}

function lifetime(
  faults: Faults,
  expiresIn: pulumi.Input<string> | undefined,
  leastSeconds: number,
  defaultSeconds: number | null,
): pulumi.Input<string> {
  const prop = "budget.expiresIn";
  if (expiresIn === undefined) {
    if (defaultSeconds === null) faults.add(prop, undefined, "and the keys of an issuer end at a time", '"2h"');
    else if (defaultSeconds * 1_000 > MAX_LIFETIME_MS) {
      const days = Math.ceil(defaultSeconds / 86_400);
      faults.add(
        prop,
        undefined,
        `and the tasks with all their retries may take ${days} days, over the 30 of a key`,
        '"30d"',
      );
    }
    return `${defaultSeconds ?? 0}s`;
  }
  faults.check(prop, expiresIn, (text): Fault | null => {
    const ms = lifetimeMs(text);
    if (ms === null) return { wrong: "which is no lifetime up to 30 days", valid: '"90s", "5m", "2h" or "30d"' };
    if (ms >= leastSeconds * 1_000) return null;
    return {
      wrong: `less than \`taskTimeout\` (${leastSeconds} s): a task could outlive its key`,
      valid: `"${leastSeconds}s"`,
    };
  });
  return expiresIn;
}
