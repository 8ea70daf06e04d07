/**
 * Goal: the cloud demo cannot call a wrong run right: each thing that it promises is told when it is not so.
 * Method: its judgements as functions, on made-up results of which one thing at a time is wrong.
 * Limit: that a run brings such results is the demo's own test.
 */
import { describe, expect, it } from "vitest";
import type { Row } from "../../examples/billing-demo/ledger-books.ts";
import { parseOptions } from "../../examples/billing-demo/options.ts";
import type { Intent } from "../../examples/billing-demo/vendor.ts";
import { cloudBillJson, cloudBillText, cloudFaults } from "../../examples/cloud-demo/cloud-bill.ts";
import type { Night } from "../../examples/cloud-demo/fire-ticks.ts";
import { demoPolicies } from "../../examples/cloud-demo/policies.ts";
import { proveStop, type Revocation } from "../../examples/cloud-demo/revoke.ts";
import type { CloudDemoResult } from "../../examples/cloud-demo/run-cloud-demo.ts";
import { policySchema } from "../../service/policies/policy.ts";

const revocation: Revocation = {
  execution: "job-ccccc",
  answeredAt: 1_000,
  inFlight: 1,
  created: new Set(["pi_1"]),
};

const call = (callId: string, createdAt: number): Row => ({
  ...{ callId, createdAt, vendor: "stripe", state: "settled", objectId: null, amountMinor: 100 },
  ...{ costMicros: 1_000_000, quoteMicros: 1_000_000 },
});

const intent = (id: string, execution = "job-ccccc"): Intent => ({
  ...{ id, execution, amount: 100, currency: "usd", status: "succeeded", customer: null },
  ...{ amountReceived: 100, amountCapturable: 0 },
});

describe("the proof that an execution stopped", () => {
  const calls = [call("a", 900), call("b", 1_000)];
  it("holds when no more objects came than calls were in flight, and later calls were refused", () => {
    const intents = [intent("pi_1"), intent("pi_2"), intent("pi_3", "job-aaaaa")];
    expect(proveStop(revocation, calls, { key_revoked: 7 }, intents)).toEqual({
      ...{ inFlight: 1, createdAfter: 1, refusedAfter: 7, differences: [] },
    });
  });

  it.each([
    [
      "more objects than were in flight",
      calls,
      { key_revoked: 1 },
      [intent("pi_2"), intent("pi_3")],
      /2 PaymentIntents were made after/,
    ],
    [
      "a call that was let through later",
      [...calls, call("late", 1_001)],
      { key_revoked: 1 },
      [],
      /call late was let through/,
    ],
    ["nothing that was refused", calls, { cap_exhausted: 3 }, [], /was over before it was stopped/],
  ])("does not hold with %s", (_, ledger, refusals, intents, sentence) => {
    expect(proveStop(revocation, ledger, refusals, intents).differences).toEqual([expect.stringMatching(sentence)]);
  });
});

describe("the demo's judgement", () => {
  const options = parseOptions(["--cloud", "--tasks", "1"], {})!;
  type Read = CloudDemoResult["nights"][number];
  const night = (letter: string, over: Partial<Night> = {}): Read => ({
    scheduleTime: "2026-11-22T01:00:00Z",
    deliveries: [201, 200],
    way: "variables",
    execution: `job-${letter}`,
    keyId: `key-${letter}`,
    label: `job/${letter}`,
    ...over,
    books: {
      execution: `job-${letter}`,
      vendorTitle: "a vendor",
      job: { attempts: 1, succeeded: 1, failed: [] },
      ledger: {
        keys: 1,
        sums: { capMicros: 1_000_000, spentMicros: 0, reservedMicros: 0, refusals: {} },
        calls: [],
        refused: 0,
      },
      comparison: { vendorMicros: 0, vendorObjects: 2, differences: [] },
      seconds: 0,
      failureLog: "",
    },
  });
  const result = (over: Partial<CloudDemoResult> = {}): CloudDemoResult => ({
    nights: [night("a"), night("b"), night("c")],
    stop: { inFlight: 1, createdAfter: 0, refusedAfter: 3, differences: [] },
    intrusions: [{ attempt: "a claim", outcome: "403 policy_denied", refused: true }],
    ...{ executions: 3, keys: 3, vendorObjects: 6, seconds: 9.5 },
    ...over,
  });
  const booksWith = (over: Partial<Read["books"]>): CloudDemoResult["nights"] => {
    const last = night("c");
    return [night("a"), night("b"), { ...last, books: { ...last.books, ...over } }];
  };

  it("finds a right run right, in numbers and in words", () => {
    expect(cloudBillJson(options, result())).toMatchObject({ ok: true, faults: [], keys: ["key-a", "key-b", "key-c"] });
    expect(cloudBillText(options, result())).toContain(
      "3 keys, 3 labels, 3 bills equal to the vendor's books, in 9.5 s",
    );
  });

  it.each<[string, Partial<CloudDemoResult>, RegExp]>([
    ["a second execution of one scheduled time", { executions: 4 }, /4 executions, not 3/],
    ["a key too many", { keys: 4 }, /4 keys, not 3/],
    [
      "two executions with one key",
      { nights: [night("a"), night("b", { keyId: "key-a" }), night("c")] },
      /share one keyId/,
    ],
    [
      "two executions with one label",
      { nights: [night("a"), night("b"), night("c", { label: "job/a" })] },
      /share one label/,
    ],
    [
      "a delivery that was given up",
      { nights: [night("a"), night("b", { deliveries: [201, 503] }), night("c")] },
      /ended with 201,503/,
    ],
    ["a vendor's object of nobody", { vendorObjects: 7 }, /has 1 objects of no execution/],
    [
      "books that differ",
      { nights: booksWith({ comparison: { vendorMicros: 1, vendorObjects: 2, differences: ["a cent differs"] } }) },
      /^job-c: a cent differs$/,
    ],
    [
      "a task that failed",
      { nights: booksWith({ job: { attempts: 4, succeeded: 0, failed: [0] } }) },
      /^job-c: 1 tasks did not end with 0/,
    ],
    [
      "an execution that did not stop",
      { stop: { inFlight: 0, createdAfter: 1, refusedAfter: 1, differences: ["it went on"] } },
      /it went on/,
    ],
    [
      "a claim that another job's account got through",
      { intrusions: [{ attempt: "a claim", outcome: "201", refused: false }] },
      /^a claim: 201$/,
    ],
  ])("tells of %s", (_, wrong, sentence) => {
    expect(cloudFaults(options, result(wrong))).toEqual([expect.stringMatching(sentence)]);
    expect(cloudBillJson(options, result(wrong)).ok).toBe(false);
    expect(cloudBillText(options, result(wrong))).toContain("WRONG:");
  });
});

it("the demo's policies are ones that the proxy takes", () => {
  for (const policy of Object.values(demoPolicies(100_000_000, 3))) policySchema.parse(policy);
});
