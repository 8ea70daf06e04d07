/**
 * Goal: what is issued under a policy is beyond neither what was asked nor what the policy allows, in no field, and says where it is
 * less. Method: a table of requests through the control plane's own reading of a body, and random bodies and policies. Limit: the
 * day's sum is counted in the ledger's commit, which is its own suite; endpoints in depth are intersect-endpoints.test.ts.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { issueBody } from "../../service/control/issue-body.ts";
import { toIssueRequest } from "../../service/control/issue-request.ts";
import { accountPrincipal } from "../../service/control/principal.ts";
import type { IssueRequest } from "../../service/ledger/ledger.ts";
import { budgetFromPolicy, grant } from "../../service/policies/grant.ts";
import type { Policy } from "../../service/policies/policy.ts";
import { readPolicy } from "../../service/policies/policy-rules.ts";
import { endpointsByVendor } from "../../service/policies/scope-endpoints.ts";
import { keyBody, resend, START, stripe } from "../control/harness.ts";
import { budgetDoc, type Doc, jobDoc, OPERATOR, policyDoc } from "./fixture.ts";

const vendors = new Map([stripe, resend].map((vendor) => [vendor.id, vendor]));
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const USD = 1_000_000;

function policyOf(doc: Doc, id = "ops"): Policy {
  const read = readPolicy(id, doc, vendors);
  if ("fault" in read) throw new Error(read.fault);
  return read.policy;
}

const under = (budget: Doc): Policy => policyOf(policyDoc([{ email: OPERATOR, may: ["issue"] }], { budget }));

function asked(policy: Policy, body: Doc): IssueRequest {
  const principal = accountPrincipal(policy, { email: OPERATOR, sub: "1" })!;
  return toIssueRequest(issueBody.parse(keyBody("run-1", body)), principal, vendors, 1, START);
}

const granted = (budget: Doc, body: Doc = {}): IssueRequest => {
  const policy = under(budgetDoc(budget));
  return grant(asked(policy, body), policy, vendors, START);
};

describe("a key issued under a policy", () => {
  test("is the policy's, made by the account, and as asked where the policy allows all of it", () => {
    const request = granted({ limits: { concurrency: 1000 } });
    expect(request).toMatchObject({
      owner: "policy:ops",
      by: `${OPERATOR} (policy ops)`,
      capMicros: 500 * USD,
      expiresAt: START + 2 * HOUR,
    });
    expect(request.scope.allowedEndpoints).toEqual(["POST /v1/payment_intents"]);
    expect(request).not.toHaveProperty("reduced");
    expect(request).not.toHaveProperty("day");
  });

  test("counts in the day's sum when the policy has one", () => {
    expect(granted({ issued_usd_per_day: 2000 }).day).toEqual({ policy: "ops", limitMicros: 2000 * USD });
  });

  test("keeps what was asked as it was asked, so that a changed policy breaks no retry", () => {
    const [narrow, wide] = [under(budgetDoc({ usd_cap: 1 })), under(budgetDoc())];
    const [first, second] = [narrow, wide].map((policy) => grant(asked(policy, {}), policy, vendors, START));
    expect(first!.capMicros).not.toBe(second!.capMicros);
    expect(first!.asked).toBe(second!.asked);
  });

  const table: [string, Doc, Doc, Partial<IssueRequest>, string[]][] = [
    ["a smaller cap of the policy", { usd_cap: 20 }, {}, { capMicros: 20 * USD }, ["usd_cap"]],
    ["a smaller cap of the request", { usd_cap: 800 }, {}, { capMicros: 500 * USD }, []],
    ["a shorter lifetime of the policy", { expires_in: "1h" }, {}, { expiresAt: START + HOUR }, ["expires_in"]],
    ["a shorter lifetime of the request", { expires_in: "7d" }, {}, { expiresAt: START + 2 * HOUR }, []],
    [
      "a cap of the policy where the request has a daily one only",
      { expires_in: "7d" },
      { usd_cap: undefined, daily_usd_cap: 100, expires_in: "5d" },
      { capMicros: 500 * USD, dailyCapMicros: 100 * USD },
      ["usd_cap"],
    ],
    [
      "a smaller daily cap of the policy",
      { expires_in: "7d", daily_usd_cap: 50 },
      { daily_usd_cap: 100, expires_in: "5d" },
      { capMicros: 500 * USD, dailyCapMicros: 50 * USD },
      ["daily_usd_cap"],
    ],
    [
      "a daily cap of the policy, which for a day or less is the cap",
      { expires_in: "7d", daily_usd_cap: 50 },
      { expires_in: "24h" },
      { capMicros: 50 * USD, dailyCapMicros: null },
      ["usd_cap"],
    ],
    [
      "a daily cap of the request, which becomes the cap when the policy allows a day or less",
      { expires_in: "12h" },
      { daily_usd_cap: 100, expires_in: "5d" },
      { capMicros: 100 * USD, dailyCapMicros: null, expiresAt: START + 12 * HOUR },
      ["usd_cap", "expires_in"],
    ],
  ];
  for (const [name, budget, body, expected, reduced] of table) {
    test(`has ${name}`, () => {
      const request = granted({ limits: { concurrency: 1000 }, ...budget }, body);
      expect(request).toMatchObject(expected);
      expect(request.reduced ?? []).toEqual(reduced);
    });
  }

  const scopes: [string, Doc, Doc, Partial<IssueRequest["scope"]>, string[]][] = [
    [
      "the endpoints of both",
      { allowed_endpoints: ["POST /v1/payment_intents", "GET *"] },
      { allowed_endpoints: ["*"] },
      { allowedEndpoints: ["POST /v1/payment_intents", "GET *"] },
      ["allowed_endpoints"],
    ],
    [
      "the vendors of both, with bare endpoints when one is left",
      {},
      { vendor: undefined, vendors: ["stripe", "resend"], allowed_endpoints: ["*"] },
      { vendors: ["stripe"], allowedEndpoints: ["*"] },
      ["vendors"],
    ],
    [
      "endpoints with their vendors when there are several",
      { vendors: ["stripe", "resend"], allowed_endpoints: ["stripe:POST /v1/*", "resend:*"] },
      { vendor: undefined, vendors: ["resend", "stripe"], allowed_endpoints: ["*"] },
      { vendors: ["resend", "stripe"], allowedEndpoints: ["resend:*", "stripe:POST /v1/*"] },
      ["allowed_endpoints"],
    ],
    [
      "only the vendor whose endpoints the policy has",
      { vendors: ["stripe", "resend"], allowed_endpoints: ["stripe:GET *", "resend:*"] },
      { vendor: undefined, vendors: ["resend", "stripe"], allowed_endpoints: ["resend:*", "stripe:POST *"] },
      { vendors: ["resend"], allowedEndpoints: ["*"] },
      ["vendors"],
    ],
    [
      "the accounts of both",
      { accounts: ["acct_1", "acct_2"] },
      { accounts: ["acct_2", "acct_3"] },
      { accounts: ["acct_2"] },
      ["accounts"],
    ],
    ["no account that was not asked", { accounts: ["acct_1"] }, {}, { accounts: [] }, []],
    [
      "the smaller limits",
      { limits: { per_call_usd: 5, calls_per_minute: 100, max_calls: 10, concurrency: 4 } },
      { limits: { per_call_usd: 9, calls_per_minute: 60, concurrency: 8 } },
      { perCallMicros: 5 * USD, callsPerMinute: 60, maxCalls: 10, concurrency: 4 },
      ["limits.per_call_usd", "limits.max_calls", "limits.concurrency"],
    ],
    [
      "no assumed price where the policy has none: such calls are refused",
      {},
      { limits: { assume_usd: 1 } },
      { assumeMicros: null },
      ["limits.assume_usd"],
    ],
    ["no assumed price where none was asked", { limits: { assume_usd: 1 } }, {}, { assumeMicros: null }, []],
    [
      "the larger assumed price: to assume less is to let more through",
      { limits: { assume_usd: 3 } },
      { limits: { assume_usd: 1 } },
      { assumeMicros: 3 * USD },
      ["limits.assume_usd"],
    ],
  ];
  for (const [name, budget, body, expected, reduced] of scopes) {
    test(`has ${name}`, () => {
      const request = granted(budget, body);
      expect(request.scope).toMatchObject(expected);
      expect(request.reduced ?? []).toEqual(reduced);
    });
  }

  const refused: [string, Doc, Doc, RegExp][] = [
    [
      "a vendor that the policy has not",
      {},
      { vendor: "resend", allowed_endpoints: ["*"] },
      /is for `stripe`, not for `resend`/,
    ],
    [
      "endpoints that the policy has not",
      { allowed_endpoints: ["GET *"] },
      {},
      /allows none of the endpoints that you ask for; it has `GET \*`/,
    ],
    ["accounts that the policy has not", {}, { accounts: ["acct_1"] }, /none of the accounts .* it has none/],
    ["a label with another beginning", { label_prefix: "nightly/" }, {}, /begin with `nightly\/`/],
    [
      "an execution of its own naming",
      {},
      { execution: "billing-abc12" },
      /only the setup task and the admin key name/,
    ],
  ];
  const each = (pattern: string) => Array.from({ length: 110 }, (_, index) => pattern.replace("ID", `x${index}`));
  refused.push([
    "more endpoints than a key's document should hold",
    { allowed_endpoints: ["POST *", ...each("GET /v1/charges/ID")] },
    { allowed_endpoints: ["GET *", ...each("POST /v1/payment_intents/ID/cancel")] },
    /share over 200 endpoints/,
  ]);
  for (const [name, budget, body, sentence] of refused) {
    test(`is not made for ${name}: 403 policy_denied`, () => {
      expect(() => granted(budget, body)).toThrow(expect.objectContaining({ code: "policy_denied" }));
      expect(() => granted(budget, body)).toThrow(sentence);
    });
  }

  test("is not made under a policy without a budget", () => {
    const policy = policyOf(policyDoc([{ email: OPERATOR, may: ["read"] }]));
    expect(() => grant(asked(policy, {}), policy, vendors, START)).toThrow(
      /^policy_denied: policy `ops` has no budget/,
    );
  });

  test("may have the label that the policy wants", () => {
    expect(granted({ label_prefix: "run-" }).label).toBe("run-1");
  });
});

describe("a job's own key", () => {
  test("has all that the policy allows", () => {
    const policy = policyOf(
      jobDoc({ budget: budgetDoc({ accounts: ["acct_1"], issued_usd_per_day: 1000, limits: { per_call_usd: 9 } }) }),
      "nightly",
    );
    expect(budgetFromPolicy(policy, vendors, null, START)).toEqual({
      owner: "policy:nightly",
      scope: {
        vendors: ["stripe"],
        allowedEndpoints: ["*"],
        accounts: ["acct_1"],
        perCallMicros: 9 * USD,
        callsPerMinute: null,
        maxCalls: null,
        concurrency: 256,
        assumeMicros: null,
      },
      capMicros: 500 * USD,
      dailyCapMicros: null,
      expiresAt: START + 2 * HOUR,
      day: { policy: "nightly", limitMicros: 1000 * USD },
    });
  });

  test("has a smaller cap that was asked, and never a larger one", () => {
    const policy = policyOf(jobDoc(), "nightly");
    expect(budgetFromPolicy(policy, vendors, 20 * USD, START)).toMatchObject({ capMicros: 20 * USD });
    expect(budgetFromPolicy(policy, vendors, 20 * USD, START)).not.toHaveProperty("reduced");
    expect(budgetFromPolicy(policy, vendors, 900 * USD, START)).toMatchObject({
      capMicros: 500 * USD,
      reduced: ["usd_cap"],
    });
  });
});

describe("never beyond either side", () => {
  const cents = fc.integer({ min: 1, max: 100_000 }).map((value) => value / 100);
  const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  const lifetime = fc.constantFrom("1h", "23h", "24h", "25h", "3d", "30d");
  const limits = maybe(
    fc.record(
      {
        per_call_usd: cents,
        calls_per_minute: fc.integer({ min: 1, max: 50 }),
        max_calls: fc.integer({ min: 1, max: 50 }),
        concurrency: fc.integer({ min: 1, max: 500 }),
        assume_usd: cents,
      },
      { requiredKeys: [] },
    ),
  );
  const accounts = maybe(fc.subarray(["acct_1", "acct_2", "acct_3"]));
  const scope = fc.oneof(
    fc
      .subarray(["*", "POST /v1/payment_intents", "GET /v1/charges/{id}", "GET /v1/charges/ch_1", "GET *"], {
        minLength: 1,
      })
      .map((allowed_endpoints) => ({ vendors: ["stripe"], allowed_endpoints })),
    fc
      .subarray(["*", "stripe:POST /v1/payment_intents", "stripe:GET *", "resend:POST /emails"], { minLength: 1 })
      .map((allowed_endpoints) => ({ vendors: ["resend", "stripe"], allowed_endpoints })),
  );
  const budget = fc
    .record({ scope, usd_cap: cents, daily_usd_cap: maybe(cents), expires_in: lifetime, limits, accounts })
    .map(({ scope: parts, ...rest }) => ({ ...rest, ...parts }));

  const bound = (left: number | null, right: number | null) => Math.min(left ?? Infinity, right ?? Infinity);
  const most = (value: number | null) => value ?? Infinity;

  test("in any field, whatever is asked under whatever policy", () => {
    let made = 0;
    fc.assert(
      fc.property(budget, budget, maybe(fc.constant(null)), (body, allowed, noCap) => {
        const short = ["1h", "23h", "24h"].includes(allowed.expires_in);
        const policy = under({ ...allowed, daily_usd_cap: short ? undefined : allowed.daily_usd_cap });
        const leaveCap = noCap === null && body.daily_usd_cap !== undefined;
        const request = asked(policy, { vendor: undefined, ...body, ...(leaveCap && { usd_cap: undefined }) });
        const own = budgetFromPolicy(policy, vendors, null, START);
        let result: IssueRequest;
        try {
          result = grant(request, policy, vendors, START);
        } catch (error) {
          expect(error).toMatchObject({ code: "policy_denied" });
          return;
        }
        made += 1;
        const life = result.expiresAt - START;
        expect(result.expiresAt).toBe(Math.min(request.expiresAt, own.expiresAt));
        expect(most(result.capMicros)).toBeLessThanOrEqual(bound(request.capMicros, own.capMicros));
        const daily = life <= DAY ? bound(result.capMicros, result.dailyCapMicros) : most(result.dailyCapMicros);
        expect(daily).toBeLessThanOrEqual(bound(request.dailyCapMicros, own.dailyCapMicros));
        for (const field of ["perCallMicros", "callsPerMinute", "maxCalls", "concurrency"] as const) {
          const policyBound = field === "concurrency" ? (allowed.limits?.concurrency ?? null) : own.scope[field];
          expect(most(result.scope[field])).toBe(bound(request.scope[field], policyBound));
        }
        for (const side of [request, own]) {
          if (side.scope.assumeMicros === null) expect(result.scope.assumeMicros).toBeNull();
          else if (result.scope.assumeMicros !== null) {
            expect(result.scope.assumeMicros).toBeGreaterThanOrEqual(side.scope.assumeMicros);
          }
          expect(side.scope.vendors).toEqual(expect.arrayContaining(result.scope.vendors));
          expect(side.scope.accounts).toEqual(expect.arrayContaining(result.scope.accounts));
          expectWithin(result, side.scope);
        }
      }),
      { numRuns: 1000 },
    );
    expect(made).toBeGreaterThan(300);
  });

  /** No operation of a vendor is allowed that the side does not allow. */
  function expectWithin(result: IssueRequest, side: IssueRequest["scope"]): void {
    const outer = endpointsByVendor(side.vendors, side.allowedEndpoints);
    for (const [id, entries] of endpointsByVendor(result.scope.vendors, result.scope.allowedEndpoints)) {
      const vendor = id === "stripe" ? stripe : resend;
      for (const [method, path] of [
        ["POST", "/v1/payment_intents"],
        ["GET", "/v1/charges/ch_1"],
        ["GET", "/v1/charges/ch_2"],
        ["GET", "/v1/customers/cus_1"],
        ["POST", "/emails"],
        ["GET", "/emails/1"],
      ] as const) {
        const segments = path.split("/").slice(1);
        if (!vendor.ownsPath(segments)) continue;
        const operation = vendor.find(method, segments);
        if (vendor.allows(entries, operation)) expect(vendor.allows(outer.get(id) ?? [], operation), path).toBe(true);
      }
    }
  }
});
