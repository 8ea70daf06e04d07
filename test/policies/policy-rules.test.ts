/**
 * Goal: a policy that says something that cannot hold lets nobody do anything, and its fault is named. Method: a table of faults,
 * each in an otherwise right document, with the real connectors; the JSON schema against the same documents. Limit: a budget that is
 * merely unwise (a cap of a million) is no fault.
 */
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { policyJsonSchema } from "../../service/policies/policy-json-schema.ts";
import { readPolicy } from "../../service/policies/policy-rules.ts";
import { otherMail, resend, stripe } from "../control/harness.ts";
import { budgetDoc, type Doc, jobDoc, OPERATOR, policyDoc, SCHEDULER, TASKS } from "./fixture.ts";

const vendors = new Map([stripe, resend, otherMail].map((vendor) => [vendor.id, vendor]));
const operator = (may: string[], more: Doc = {}): Doc => policyDoc([{ email: OPERATOR, may }], more);
const withBudget = (more: Doc): Doc => operator(["issue"], { budget: budgetDoc(more) });

/** A right policy of a job, and one principal more. */
const jobOf = (email: string, may: string): Doc =>
  policyDoc(
    [
      { email: TASKS, may: ["claim", "read", "revoke"] },
      { email, may: [may] },
    ],
    { job: { project: "my-project", location: "us-central1", service_account: TASKS }, budget: budgetDoc() },
  );

function faultOf(doc: Doc, id = "nightly"): string | null {
  const read = readPolicy(id, doc, vendors);
  return "fault" in read ? read.fault : null;
}

describe("a policy that is right", () => {
  const right: Record<string, Doc> = {
    "of a job": jobDoc(),
    "of a job that runs one at a time": jobDoc({
      job: { project: "my-project", location: "us-central1", service_account: TASKS, one_at_a_time: true },
    }),
    "of an operator who sees all": operator(
      ["read", "launch", "pause", "resume", "raise", "reconcile", "decide", "issuers"],
      {
        sees: "all",
      },
    ),
    "of issuer keys alone": policyDoc([], { issuer_may: ["issue", "read"], budget: budgetDoc() }),
    "of a principal by its number": policyDoc([{ sub: "113773", may: ["read"] }]),
    "with two vendors": withBudget({ vendors: ["stripe", "resend"], allowed_endpoints: ["*", "resend:POST /emails"] }),
    "with a daily cap over a week": withBudget({ daily_usd_cap: 100, expires_in: "7d" }),
    "with vendors that share paths, for callers who ask for one of them": withBudget({
      vendors: ["resend", "other-mail"],
      allowed_endpoints: ["*"],
    }),
  };
  for (const [name, doc] of Object.entries(right)) {
    test(`${name} has no fault`, () => expect(faultOf(doc)).toBeNull());
  }
});

describe("a policy that is wrong", () => {
  const job = { project: "my-project", location: "us-central1", service_account: TASKS };
  const wrong: Record<string, [Doc, RegExp]> = {
    "of another version": [operator(["read"], { version: 2 }), /`version`/],
    "with a field that no policy has": [operator(["read"], { prinicpals: [] }), /prinicpals/],
    "without principal_ids": [{ version: 1, principals: [] }, /`principal_ids`/],
    "whose principal_ids lack a principal": [operator(["read"], { principal_ids: [] }), /lacks ops@example\.com/],
    "whose principal_ids name one more": [
      operator(["read"], { principal_ids: [OPERATOR, "eve@example.com"] }),
      /has eve@example\.com, which no principal names/,
    ],
    "with a principal without a name": [policyDoc([{ may: ["read"] }]), /names no `email` and no `sub`/],
    "with an e-mail in capitals": [policyDoc([{ email: "Ops@example.com", may: ["read"] }]), /in lower case/],
    "with a principal that may nothing": [operator([]), /`principals\.0\.may`/],
    "with a permission that there is not": [operator(["administer"]), /`principals\.0\.may/],
    "that decides on calls that it does not see": [operator(["decide"]), /decide needs `sees` all/],
    "that makes issuer keys for its own policy": [operator(["issuers"]), /issuers needs `sees` all/],
    "of a job that lets an operator decide": [jobOf(OPERATOR, "decide"), /decide needs `sees` all/],
    "of a job that lets an operator make issuer keys": [jobOf(OPERATOR, "issuers"), /issuers needs `sees` all/],
    "whose issuer keys decide": [
      policyDoc([], { sees: "all", issuer_may: ["decide"], budget: budgetDoc() }),
      /`issuer_may\.0`/,
    ],
    "whose issuer keys make issuer keys": [
      policyDoc([], { sees: "all", issuer_may: ["issuers"], budget: budgetDoc() }),
      /`issuer_may\.0`/,
    ],
    "that issues without a budget": [operator(["issue"]), /may issue needs a `budget`/],
    "whose issuer keys issue without a budget": [
      policyDoc([], { issuer_may: ["issue"] }),
      /may issue needs a `budget`/,
    ],
    "whose issuer keys may raise": [policyDoc([], { issuer_may: ["raise"], budget: budgetDoc() }), /`issuer_may\.0`/],
    "that launches without a job": [operator(["launch"], { budget: budgetDoc() }), /may launch needs a `job`/],
    "that claims without a job": [operator(["claim"], { budget: budgetDoc() }), /may claim needs a `job`/],
    "of a job without a budget": [jobDoc({ budget: undefined }), /needs a `budget`/],
    "of a job that only launches, without a budget": [
      policyDoc(
        [
          { email: TASKS, may: ["read"] },
          { email: SCHEDULER, may: ["launch"] },
        ],
        { job },
      ),
      /a job needs a `budget`/,
    ],
    "of a job whose own account is nobody": [
      policyDoc([{ email: SCHEDULER, may: ["launch"] }], { job, budget: budgetDoc() }),
      /lacks the job's own account billing@/,
    ],
    ...Object.fromEntries(
      ["issue", "launch", "pause", "resume", "raise", "reconcile"].map((may) => [
        `of a job whose own account may ${may}`,
        [
          policyDoc(
            [
              { email: TASKS, may: ["claim"] },
              { email: TASKS, may: ["read", may] },
            ],
            {
              job,
              budget: budgetDoc(),
            },
          ),
          new RegExp(`own account may not ${may}`),
        ],
      ]),
    ),
    "of a job that sees all keys": [jobDoc({ sees: "all" }), /`sees` own/],
    "of a job whose day is over before its first run": [
      jobDoc({ budget: budgetDoc({ issued_usd_per_day: 499 }) }),
      /`budget\.issued_usd_per_day` \(499\.00\)/,
    ],
    "of a job with vendors that share paths": [
      jobDoc({ budget: budgetDoc({ vendors: ["resend", "other-mail"] }) }),
      /both have the path/,
    ],
    "with a vendor that this proxy has not": [withBudget({ vendors: ["strpe"] }), /there is no vendor strpe/],
    "with an endpoint that the vendor has not": [
      withBudget({ allowed_endpoints: ["POST /v1/payment_intent"] }),
      /nearest are `POST \/v1\/payment_intents`/,
    ],
    "with an endpoint of a vendor that is not in it": [
      withBudget({ allowed_endpoints: ["resend:POST /emails"] }),
      /names a vendor that this key is not for/,
    ],
    "with two vendors and an endpoint of neither": [
      withBudget({ vendors: ["stripe", "resend"], allowed_endpoints: ["POST /emails"] }),
      /names its own/,
    ],
    "with a daily cap for a lifetime of a day": [
      withBudget({ daily_usd_cap: 100, expires_in: "24h" }),
      /`budget\.daily_usd_cap` needs a lifetime over 24 h/,
    ],
    "with a cap in parts of a cent": [withBudget({ usd_cap: 0.001 }), /`budget\.usd_cap`: must be dollars/],
    "with a lifetime of a year": [withBudget({ expires_in: "365d" }), /`budget\.expires_in`/],
  };
  for (const [name, [doc, fault]] of Object.entries(wrong)) {
    test(`${name} is refused, and its fault is named`, () => expect(faultOf(doc)).toMatch(fault));
  }

  for (const id of ["", "Nightly", "a/b", "../x", "a".repeat(64), "__proto__"]) {
    test(`with the id \`${id.slice(0, 20)}\` is refused`, () => expect(faultOf(jobDoc(), id)).toMatch(/^its id must/));
  }
});

describe("policy.schema.json", () => {
  const kept = JSON.parse(readFileSync("service/policies/policy.schema.json", "utf8")) as Doc;

  test("is that of the policies as they are read; `npm run docs` writes it", () => {
    expect(kept).toEqual(JSON.parse(JSON.stringify(policyJsonSchema())));
  });

  test("takes a right policy, and refuses one with a misspelt field", () => {
    const check = new Ajv2020({ strict: false }).compile(kept);
    expect(check(jobDoc())).toBe(true);
    expect(check(jobDoc({ budgte: {} }))).toBe(false);
  });
});
