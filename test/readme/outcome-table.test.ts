/**
 * Goal: the outcome table of ARCHITECTURE.md is what the built-in connectors say of a vendor's answers.
 * Method: every status that a row names is judged for a priced call of each vendor, and compared with the row's class.
 * Limit: rows without a status (broken connections, redirects) are shown by test/data/faults.test.ts on real sockets.
 */
import { describe, expect, it } from "vitest";
import { loadVendors } from "../../service/vendors/index.ts";
import { answer, input } from "../vendors/support.ts";
import { read, tableBelow } from "./markdown.ts";

const vendors = loadVendors({ now: () => 0 });
const account = `AC${"0".repeat(32)}`;
const mail = { from: "a@example.com", to: "b@example.com", subject: "x", text: "y" };
const calls = {
  stripe: { path: "v1/payment_intents", input: input("amount=4000&currency=usd") },
  twilio: {
    path: `2010-04-01/Accounts/${account}/Messages.json`,
    input: input("To=%2B14155550100&From=%2B15551234567&Body=x", undefined, { ownAccount: account }),
  },
  resend: { path: "emails", input: input(JSON.stringify(mail), "application/json") },
} as const;

function classOf(id: keyof typeof calls, status: number, json: unknown): string {
  const vendor = vendors.get(id)!;
  const operation = vendor.find("POST", calls[id].path.split("/"));
  const request = vendor.parse(operation, calls[id].input);
  const quote = vendor.quote(operation, request, undefined, null);
  return vendor.judge(operation, request, quote, undefined, answer(status, json)).kind;
}

const statusesOf = (seen: string): number[] =>
  [...seen.matchAll(/\b([1-5])(\d\d|xx)\b/g)].flatMap(([, hundred, rest]) =>
    rest === "xx" ? [`${hundred}00`, `${hundred}02`, `${hundred}03`].map(Number) : [Number(hundred! + rest!)],
  );

const rows = tableBelow(read("ARCHITECTURE.md"), "The ledger", "seen").map(([seen, ledger]) => ({
  seen: seen!,
  expected: /^(settle|release|unknown|fetch)/.exec(ledger!)![1]!.replace("fetch", "credential"),
}));

describe.each(Object.keys(calls) as (keyof typeof calls)[])("an answer of %s", (id) => {
  const judged = rows.filter(({ seen }) => statusesOf(seen).length > 0 && !seen.startsWith("3xx"));

  it.each(judged)("$seen: $expected", ({ seen, expected }) => {
    const plain = seen.replace("Stripe 400 `idempotency_error`", "");
    for (const status of statusesOf(plain)) expect(classOf(id, status, {}), String(status)).toBe(expected);
    if (plain !== seen && id === "stripe") {
      expect(classOf(id, 400, { error: { type: "idempotency_error" } })).toBe(expected);
    }
  });
});

it("covers each class", () => {
  expect(new Set(rows.map(({ expected }) => expected))).toEqual(
    new Set(["settle", "release", "unknown", "credential"]),
  );
});
