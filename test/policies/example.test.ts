/**
 * Goal: the policies that the README shows are ones that a proxy takes. Method: each is read by the rules of the proxy, from the
 * file. Limit: whether the accounts exist is not known here.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readPolicy } from "../../service/policies/policy-rules.ts";
import { stripe } from "../control/harness.ts";

const file = new URL("../../examples/policies/policies.json", import.meta.url);
const policies = Object.entries(JSON.parse(readFileSync(file, "utf8")) as Record<string, Record<string, unknown>>);

const vendors = new Map([["stripe", stripe]]);

it.each(policies)("the policy %s holds", (id, doc) => {
  expect(readPolicy(id, doc, vendors)).toMatchObject({ policy: { id } });
});

it.each(policies)("the policy %s with a misspelt field does not", (id, doc) => {
  expect(readPolicy(id, { ...doc, principels: [] }, vendors)).toMatchObject({
    fault: expect.stringContaining("principels"),
  });
});
