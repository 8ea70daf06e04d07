/**
 * Goal: what two allow-lists share is exactly what both allow, for every path that a connector can see. Method: the real endpoints of
 * all built-in connectors, entries made from them by widening, narrowing and misplacing segments, and every concrete path of every
 * operation asked of the data plane's own check. Limit: parameter values are a few; patterns of parameters are left to that check.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { intersectEntries } from "../../service/policies/intersect-endpoints.ts";
import { allowsPath, type Endpoint } from "../../service/vendors/allow-list.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { parseTemplate } from "../../service/vendors/paths.ts";

const vendors = [...loadVendors({ connectors: [], now: () => Date.UTC(2026, 10, 22) }).values()];
const values = ["x1", "ch_1", "charges"];

interface Concrete {
  endpoint: Endpoint;
  segments: string[];
}

function templateOf(endpoint: string): Endpoint {
  const [method = "", path = ""] = endpoint.split(" ");
  return { endpoint, method, template: parseTemplate(path) };
}

function concretePaths(endpoint: Endpoint): Concrete[] {
  let found: string[][] = [[]];
  for (const { literal, suffix } of endpoint.template) {
    const here = literal === null ? values.map((value) => value + suffix) : [literal];
    found = found.flatMap((path) => here.map((segment) => [...path, segment]));
  }
  return found.map((segments) => ({ endpoint, segments }));
}

/** Entries near a vendor's endpoints: right ones, wider and narrower ones, and some that fit nothing. */
function entries(endpoints: readonly Endpoint[]): fc.Arbitrary<string> {
  const one = fc
    .tuple(
      fc.constantFrom(...endpoints),
      fc.constantFrom("own", "own", "own", "GET", "POST"),
      fc.array(fc.constantFrom("own", "own", "own", "{x}", "{bare}", ...values), { minLength: 6, maxLength: 6 }),
      fc.constantFrom(0, 0, 0, 1, 2, 3),
    )
    .map(([{ method, template, endpoint }, other, changes, cut]) => {
      const written = endpoint.slice(endpoint.indexOf("/") + 1).split("/");
      const parts = template.map(({ suffix, literal }, index) => {
        const change = changes[index] ?? "own";
        if (change === "own") return written[index]!;
        if (change === "{bare}") return change;
        if (change === "{x}") return `{x}${suffix}`;
        return literal === null ? change + suffix : written[index]!;
      });
      const kept = cut === 0 ? parts : [...parts.slice(0, Math.max(0, parts.length - cut)), "*"];
      return `${other === "own" ? method : other} /${kept.join("/")}`;
    });
  return fc.oneof({ weight: 12, arbitrary: one }, { weight: 1, arbitrary: fc.constantFrom("*", "GET *", "POST /*") });
}

describe("what two allow-lists share", () => {
  for (const vendor of vendors) {
    const endpoints = vendor.endpoints.map(({ endpoint }) => templateOf(endpoint));
    const paths = endpoints.flatMap(concretePaths);
    const list = fc.array(entries(endpoints), { minLength: 1, maxLength: 6 });

    test(`is what both allow, for every path of ${vendor.id}`, () => {
      let some = 0;
      fc.assert(
        fc.property(list, list, (left, right) => {
          const shared = intersectEntries(left, right, vendor.endpoints);
          for (const { endpoint, segments } of paths) {
            const both = allowsPath(left, endpoint, segments) && allowsPath(right, endpoint, segments);
            some += Number(both);
            expect(
              allowsPath(shared, endpoint, segments),
              `${endpoint.endpoint} ${segments.join("/")}: ${shared}`,
            ).toBe(both);
          }
        }),
        { numRuns: 150 },
      );
      expect(some).toBeGreaterThan(100);
    });
  }

  const stripe = vendors.find(({ id }) => id === "stripe")!;
  const share = (left: string[], right: string[]) => intersectEntries(left, right, stripe.endpoints);

  test("is the narrower entry as it was written, where one lies within the other", () => {
    expect(share(["*"], ["*"])).toEqual(["*"]);
    expect(share(["*"], ["POST /v1/payment_intents"])).toEqual(["POST /v1/payment_intents"]);
    expect(share(["POST /v1/payment_intents"], ["POST /v1/*"])).toEqual(["POST /v1/payment_intents"]);
    expect(share(["GET *"], ["GET /v1/*"])).toEqual(["GET /v1/*"]);
    expect(share(["GET /v1/charges/ch_1"], ["GET /v1/charges/*"])).toEqual(["GET /v1/charges/ch_1"]);
  });

  test("is the one object, where a list names an object and the other all", () => {
    expect(share(["GET /v1/charges/ch_1"], ["GET /v1/charges/{id}"])).toEqual(["GET /v1/charges/ch_1"]);
    expect(share(["GET /v1/charges/ch_1"], ["GET /v1/charges/ch_2"])).toEqual([]);
  });

  test("is nothing for a parameter with a suffix and one without", () => {
    const template = "GET /2010-04-01/Accounts/{AccountSid}/Messages/{Sid}";
    expect(intersectEntries([`${template}.json`], [template], [{ endpoint: `${template}.json` }])).toEqual([]);
  });

  test("is nothing for another method, or for another path", () => {
    expect(share(["GET *"], ["POST *"])).toEqual([]);
    expect(share(["POST /v1/refunds"], ["POST /v1/payment_intents"])).toEqual([]);
  });
});
