/**
 * Goal: the demo's settings for Stripe's own test mode are right and its guard lets no live key through.
 * Method: the option parser as a function; the books are compared on made-up objects.
 * Limit: no call to Stripe.
 */
import { describe, expect, it } from "vitest";
import { compareBooks, exposureMicros } from "../../examples/billing-demo/compare-books.ts";
import type { LedgerBooks } from "../../examples/billing-demo/ledger-books.ts";
import { parseOptions, UsageError } from "../../examples/billing-demo/options.ts";
import type { Intent } from "../../examples/billing-demo/vendor.ts";

describe("the demo's options", () => {
  it("with a local Google Cloud are each execution's, and leave no choice of store or vendor", () => {
    expect(parseOptions(["--cloud"], {})).toMatchObject({ cloud: true, tasks: 100, capMicros: 100_000_000 });
    expect(parseOptions(["--cloud", "--tasks", "6", "--cap", "7.5"], {})).toMatchObject({
      tasks: 6,
      capMicros: 7_500_000,
    });
    for (const more of [
      ["--store", "sqlite::memory:"],
      ["--vendor", "emulate"],
      ["--tasks", "1201"],
    ]) {
      expect(() => parseOptions(["--cloud", ...more], {})).toThrow(UsageError);
    }
  });

  it("with Stripe's test mode take fewer tasks by default, and the key from the environment", () => {
    const env = { STRIPE_SECRET_KEY: "sk_test_0123456789" };
    expect(parseOptions(["--vendor", "stripe"], env)).toMatchObject({
      vendor: "stripe",
      tasks: 40,
      parallelism: 4,
      capMicros: 40_000_000,
      stripeSecret: "sk_test_0123456789",
    });
  });

  it("ignore STRIPE_SECRET_KEY for the simulated vendor", () => {
    expect(parseOptions([], { STRIPE_SECRET_KEY: "sk_live_0123456789" })).toMatchObject({
      vendor: "emulate",
      tasks: 500,
      parallelism: 50,
      capMicros: 500_000_000,
      stripeSecret: null,
    });
  });

  it.each(["sk_live_0123456789", "rk_live_0123456789", "pk_test_0123456789", "sk_test_", "", "vk_1_x"])(
    "refuse STRIPE_SECRET_KEY=%s for Stripe's test mode",
    (secret) => {
      expect(() => parseOptions(["--vendor", "stripe"], { STRIPE_SECRET_KEY: secret })).toThrow(UsageError);
    },
  );
});

describe("the comparison of the books", () => {
  const intent = (over: Partial<Intent> = {}): Intent => ({
    id: "pi_1",
    amount: 400,
    currency: "usd",
    status: "requires_payment_method",
    amountReceived: 0,
    amountCapturable: 0,
    customer: "cus_1",
    execution: "run",
    ...over,
  });
  const call = {
    callId: "c1",
    vendor: "stripe",
    state: "settled",
    objectId: "pi_1",
    amountMinor: 400,
    costMicros: 4_000_000,
    quoteMicros: 4_000_000,
    createdAt: 0,
  };
  const ledger = (over: Partial<LedgerBooks> = {}): LedgerBooks => ({
    keys: 1,
    sums: { capMicros: 10_000_000, spentMicros: 4_000_000, reservedMicros: 0, refusals: {} },
    calls: [call],
    refused: 0,
    ...over,
  });

  it("finds equal books equal", () => {
    expect(compareBooks(ledger(), [intent()], "run", true)).toEqual({
      vendorMicros: 4_000_000,
      vendorObjects: 1,
      differences: [],
    });
  });

  it.each([
    ["a customer charged twice", ledger(), [intent(), intent({ id: "pi_2" })], /charged 2 times/],
    [
      "an object that no call knows",
      ledger(),
      [intent(), intent({ id: "pi_2", customer: "cus_2" })],
      /no settled call/,
    ],
    ["a settled call without an object", ledger(), [], /the vendor has no object pi_1/],
    ["another amount at the vendor", ledger(), [intent({ amount: 401 })], /4\.01 at the vendor, 4\.00 in the ledger/],
    ["an object of somebody else", ledger(), [intent(), intent({ id: "pi_9", execution: null })], /not of this run/],
    [
      "a key whose sum is not its calls'",
      ledger({ sums: { capMicros: 10_000_000, spentMicros: 3_000_000, reservedMicros: 0, refusals: {} } }),
      [intent()],
      /the key spent 3\.00, its calls 4\.00/,
    ],
    [
      "one cent over the cap",
      ledger({ sums: { capMicros: 3_990_000, spentMicros: 4_000_000, reservedMicros: 0, refusals: {} } }),
      [intent()],
      /4\.00 is over the cap of 3\.99/,
    ],
  ])("finds %s", (_, books, intents, sentence) => {
    expect(compareBooks(books, intents, "run", true).differences.join("\n")).toMatch(sentence);
  });

  it("takes a payment intent for what its status exposes", () => {
    expect(exposureMicros(intent({ status: "succeeded", amountReceived: 150 }))).toBe(1_500_000);
    expect(exposureMicros(intent({ status: "requires_capture", amountCapturable: 300 }))).toBe(3_000_000);
    expect(exposureMicros(intent({ status: "canceled" }))).toBe(0);
    expect(exposureMicros(intent({ status: "processing" }))).toBe(4_000_000);
  });
});
