/**
 * Goal: a connector is data, and what does not fit is refused when it is loaded, with the place and the fix.
 * Method: a small connector, broken in one way at a time; the built-in ones through JSON and back.
 * Limit: shows that mistakes of form and type are found, not that prices are right.
 */
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { type ConnectorInput, checkConnector, connectorJsonSchema } from "../../service/vendors/connector.ts";
import { compileConnector } from "../../service/vendors/engine.ts";
import { explain } from "../../service/vendors/explain.ts";
import { builtIn, loadVendors } from "../../service/vendors/index.ts";
import { input, refusal, sentence } from "./support.ts";

const acme: ConnectorInput = {
  id: "acme",
  name: "Acme",
  upstream: "https://api.acme.test",
  credential: { type: "header", header: "x-api-key" },
  body: { codec: "json" },
  tables: { per: { date: "2026-11-01", source: "list", entries: { a: "0.01" } } },
  rules: [{ endpoint: "POST /things/{id}", quote: { micros: 'prefix("per", string(body.kind))', why: "a thing" } }],
};
const now = () => Date.parse("2026-11-22");
const load = (connectors: unknown) => loadVendors({ connectors, now });
const priced = (micros: string, more: object = {}) => ({
  ...acme,
  ...more,
  rules: [{ endpoint: "POST /things", quote: { micros, why: "x" } }],
});

describe("the door", () => {
  test("the built-in connectors survive JSON and pass the same schema, compile again and keep their endpoints", () => {
    for (const each of builtIn) {
      const again: unknown = JSON.parse(JSON.stringify(each));
      expect(again).toEqual(each);
      const vendor = compileConnector(checkConnector(again, "x"), { now });
      expect(vendor.endpoints).toEqual(loadVendors({ now }).get(vendor.id)!.endpoints);
    }
  });

  test("the JSON Schema takes the built-in connectors and refuses an unknown field", () => {
    const ajv = new Ajv2020({ strict: false });
    addFormats.default(ajv);
    const validate = ajv.compile(connectorJsonSchema());
    for (const each of builtIn) expect([validate(each), validate.errors]).toEqual([true, null]);
    expect(validate({ ...acme, surprise: 1 })).toBe(false);
  });

  test("a user's connector stands beside the built-in ones, as a list or in an object", () => {
    expect([...load([acme]).keys()]).toEqual(["stripe", "twilio", "resend", "acme"]);
    expect([...load({ connectors: [acme] }).keys()]).toEqual(["stripe", "twilio", "resend", "acme"]);
    expect([...load(undefined).keys()]).toEqual(["stripe", "twilio", "resend"]);
  });

  const refused: [string, unknown, RegExp][] = [
    ["an unknown field", [{ ...acme, surprise: 1 }], /connectors\[0\].*surprise/],
    ["an unknown field deep inside", [{ ...acme, rules: [{ ...acme.rules[0], qoute: {} }] }], /rules\[0\].*qoute/],
    ["a missing field", [{ ...acme, upstream: undefined }], /connectors\[0\]\.upstream/],
    ["an upstream without TLS", [{ ...acme, upstream: "http://api.acme.test" }], /upstream: write an https origin/],
    ["an upstream with a path", [{ ...acme, upstream: "https://api.acme.test/v1" }], /upstream: write an https origin/],
    [
      "an id that is a built-in vendor's",
      [{ ...acme, id: "stripe" }],
      /connectors\[0\]\.id: there is a connector `stripe` already/,
    ],
    ["two of one id", [acme, acme], /connectors\[1\]\.id: there is a connector `acme` already/],
    ...["vault", "audit", "calls", "jobs", "issuers", "health", "reconcile", "v1"].map(
      (id): [string, unknown, RegExp] => [`the id ${id}`, [{ ...acme, id }], /is a route of the proxy/],
    ),
    ["the id openapi.json", [{ ...acme, id: "openapi.json" }], /id: use lower-case letters/],
    ["no list", "acme", /write a list of connectors or/],
    [
      "a wrong endpoint",
      [{ ...acme, rules: [{ ...acme.rules[0], endpoint: "things" }] }],
      /endpoint: write `METHOD \/path`/,
    ],
    ["one endpoint twice", [{ ...acme, free: ["POST /things/{id}"] }], /is there twice/],
    ["a rule on the connector's own never-list", [{ ...acme, never: ["* /things/*"] }], /own never-list/],
    ["a pattern with groups", [{ ...acme, generatedKeys: { sdk: ["(a+)+"] } }], /a pattern may have no groups/],
    [
      "a price as a number",
      [{ ...acme, tables: { per: { date: "2026-11-01", source: "x", entries: { a: 0.01 } } } }],
      /tables\.per\.entries\.a/,
    ],
    ["an error template that names nothing", [{ ...acme, errors: { body: { code: "$nothing" } } }], /\$nothing/],
  ];
  test.each(refused)("%s is refused with its place", (_, connectors, message) => {
    expect(sentence(() => load(connectors))).toMatch(message);
  });

  const expressions: [string, string, RegExp][] = [
    ["a syntax error", "1 +", /quote\.micros: `1 \+`/],
    ["an unknown variable", "nothing.x", /Unknown variable: nothing/],
    ["a variable of another moment", "response.amount * 1", /Unknown variable: response/],
    ["an unknown function", "price_of(1)", /no matching overload/],
    ["a wrong argument", "usd(true, 'usd')", /no matching overload/],
    ["text where a number belongs", "'4000'", /gives string, must give int/],
    ["a fraction where a whole number belongs", "0.5", /gives double, must give int/],
    ["a field as it came", "body.amount", /gives dyn, must give int/],
    ["a backtracking match", 'body.a.matches("(a+)+$") ? 1 : 2', /`matches` is not taken/],
    [
      "a comprehension inside another",
      "sum(body.a.map(x, sum(body.b.map(y, int(y)))))",
      /one comprehension inside another/,
    ],
    ["a table that is not there", 'prefix("other", "x")', /`prefix` needs the name of one of the connector's tables/],
    ["a table named by the request", 'prefix(string(body.table), "x")', /`prefix` needs the name/],
    ["a price that is not there", 'price("other")', /`price` needs the name/],
  ];
  test.each(expressions)("an expression with %s is refused at load", (_, micros, message) => {
    expect(sentence(() => load([priced(micros)]))).toMatch(message);
  });

  test("a pin that reads the call needs a field that only the proxy writes", () => {
    const rule = { ...acme.rules[0], pins: [{ field: "tag", value: "call.id" }] };
    expect(sentence(() => load([{ ...acme, rules: [rule] }]))).toMatch(/needs `tag` among `reservedFields`/);
    expect(sentence(() => load([{ ...acme, rules: [rule], reservedFields: ["tag"] }]))).toBe("");
  });
});

describe("a price is never taken for nothing", () => {
  const quote = (micros: string, body: unknown) => {
    const vendor = load([priced(micros)]).get("acme")!;
    const operation = vendor.find("POST", ["things"]);
    return vendor.quote(
      operation,
      vendor.parse(operation, input(JSON.stringify(body), "application/json")),
      undefined,
      null,
    ).micros;
  };
  const refused: [string, string, unknown][] = [
    ["a missing field", "amount(body.n)", {}],
    ["a field of a missing map", "amount(body.a.n)", {}],
    ["a negative price", "0 - amount(body.n)", { n: 5 }],
    ["a negative amount", "amount(body.n)", { n: -5 }],
    ["an overflow", "amount(body.n) * 9223372036854775807", { n: 3 }],
    ["a division by zero", "ceilDiv(amount(body.n), amount(body.by))", { n: 3, by: 0 }],
    ["a fraction", "amount(body.n)", { n: 1.5 }],
    ["a number as a list", "amount(body.n)", { n: [1] }],
    ["a boolean", "amount(body.n)", { n: true }],
    ["an inherited name", "amount(body.toString)", {}],
    ["a price over any cap", "amount(body.n) * 1000000", { n: 999_999_999_999 }],
    ["an unlisted entry of a table", 'prefix("per", string(body.n))', { n: "zz" }],
  ];
  test.each(refused)("%s is refused", (_, micros, body) => {
    expect(refusal(() => quote(micros, body))).toMatch(/^(request_invalid|endpoint_unpriced)$/);
  });

  test("whole numbers stay exact to the last digit, and parts of a micro-dollar round up", () => {
    expect(quote("amount(body.n) * 99999 / 99999", { n: 99_999_999_999 })).toBe(99_999_999_999);
    expect(quote("ceilDiv(amount(body.n), 1000)", { n: 1001 })).toBe(2);
    expect(quote("ceilDiv(amount(body.n), 1000)", { n: 1000 })).toBe(1);
    expect(quote('dollars("0.0000001") * 1', {})).toBe(1);
  });
});

describe("currencies", () => {
  const rates = {
    eur: { usd_per_unit: "1.10", date: "2026-11-20", haircut: 0.05 },
    jpy: { usd_per_unit: "0.0067", date: "2026-11-20", haircut: 0 },
    bhd: { usd_per_unit: "2.65", date: "2026-11-20", haircut: 0 },
    isk: { usd_per_unit: "0.0072", date: "2026-11-20", haircut: 0 },
  };
  const micros = (amount: string, currency: string, at = now) => {
    const stripe = loadVendors({ rates, now: at }).get("stripe")!;
    return explain(stripe, {
      method: "POST",
      path: "/v1/payment_intents",
      fields: [`amount=${amount}`, `currency=${currency}`],
    }).micros;
  };
  test("an operator's rate prices a currency, the haircut on top, rounded up", () => {
    expect(micros("1000", "eur")).toBe(11_550_000);
    expect(micros("1", "eur")).toBe(11_550);
  });
  test("currencies without decimals, with three, and those that travel × 100 keep their minor unit", () => {
    expect(micros("1000", "jpy")).toBe(6_700_000);
    expect(micros("1000", "bhd")).toBe(2_650_000);
    expect(micros("1000", "isk")).toBe(72_000);
  });
  test("a rate older than a week is refused, and so is a currency without one", () => {
    expect(refusal(() => micros("1000", "eur", () => Date.parse("2026-11-28")))).toBe("currency_not_allowed");
    expect(micros("1000", "eur", () => Date.parse("2026-11-27T23:59:59Z"))).toBe(11_550_000);
    expect(refusal(() => micros("1000", "gbp"))).toBe("currency_not_allowed");
  });
});

describe("allowed_endpoints", () => {
  const stripe = loadVendors({ now }).get("stripe")!;
  const allows = (entry: string, line: string) => {
    const [method = "", path = ""] = line.split(" ");
    return stripe.allows([entry], stripe.find(method, path.slice(1).split("/")));
  };
  const table: [string, string, boolean][] = [
    ["POST /v1/payment_intents", "POST /v1/payment_intents", true],
    ["POST /v1/payment_intents", "POST /v1/payment_intents/pi_1", false],
    ["POST /v1/payment_intents", "GET /v1/payment_intents", false],
    ["POST /v1/payment_intents/{id}/capture", "POST /v1/payment_intents/pi_1/capture", true],
    ["POST /v1/payment_intents/{anything}/capture", "POST /v1/payment_intents/pi_1/capture", true],
    ["POST /v1/payment_intents/pi_1/capture", "POST /v1/payment_intents/pi_1/capture", true],
    ["POST /v1/payment_intents/pi_1/capture", "POST /v1/payment_intents/pi_2/capture", false],
    ["POST /v1/payment_intents/*", "POST /v1/payment_intents/pi_1", true],
    ["POST /v1/payment_intents/*", "POST /v1/payment_intents/pi_1/confirm", true],
    ["POST /v1/payment_intents/*", "POST /v1/payment_intents", false],
    ["GET *", "GET /v1/customers/cus_1", true],
    ["GET *", "POST /v1/customers", false],
    ["GET /*", "GET /v1/customers/cus_1", true],
    ["*", "POST /v1/refunds", true],
    ["post /v1/refunds", "POST /v1/refunds", false],
    ["POST /v1/{x}", "POST /v1/refunds", false],
  ];
  test.each(table)("%s on %s: %s", (entry, line, allowed) => {
    expect(allows(entry, line)).toBe(allowed);
  });

  test.each([
    "POST /v1/payment_intent",
    "PSOT /v1/refunds",
    "POST /v1/payouts",
    "POST /v2/*",
    "DELETE *",
    "",
    "POST",
    "POST /v1/../refunds",
    "* /v1/refunds",
    "POST /v1/*/confirm",
  ])("the entry %j names nothing and is answered with the nearest", (entry) => {
    expect(stripe.checkAllowed(entry)).toMatch(/`(GET|POST) \/v1\/[a-z_]+/);
  });

  test.each([
    "*",
    "GET *",
    "POST /v1/payment_intents/*",
    "POST /v1/payment_intents/{x}",
    "POST /v1/payment_intents/pi_1/confirm",
  ])("the entry %j is taken", (entry) => {
    expect(stripe.checkAllowed(entry)).toBeNull();
  });
});

describe("explain", () => {
  const vendors = loadVendors({ now });
  test("says what a call would reserve, and why, in any of the vendors' encodings", () => {
    expect(
      explain(vendors.get("stripe")!, {
        method: "post",
        path: "/stripe/v1/payment_intents",
        fields: ["amount=4000", "currency=usd"],
      }),
    ).toEqual({
      endpoint: "POST /v1/payment_intents",
      kind: "priced",
      micros: 40_000_000,
      currency: "usd",
      amountMinor: 4000,
      why: "gross amount of the intent: 4000 usd = $40.00",
      lookup: null,
    });
    expect(
      explain(vendors.get("resend")!, {
        method: "POST",
        path: "/emails",
        fields: ["to=a@b.c", "to=d@e.f", "from=a@b.c"],
      }).micros,
    ).toBe(1800);
  });

  test("a call that is priced by a look-up says which, and a free one costs nothing", () => {
    const confirm = explain(vendors.get("stripe")!, {
      method: "POST",
      path: "/v1/payment_intents/pi_1/confirm",
      fields: [],
    });
    expect(confirm).toMatchObject({ micros: null, lookup: "/v1/payment_intents/pi_1" });
    expect(explain(vendors.get("stripe")!, { method: "GET", path: "/v1/customers?limit=1", fields: [] })).toMatchObject(
      { kind: "free", micros: 0 },
    );
  });

  test("a call that the proxy would refuse is refused the same way", () => {
    const ask = (path: string, fields: string[]) => () =>
      explain(vendors.get("stripe")!, { method: "POST", path, fields });
    expect(refusal(ask("/v1/payouts", []))).toBe("endpoint_unpriced");
    expect(refusal(ask("/v1/payment_intents", ["amount"]))).toBe("request_invalid");
    expect(refusal(ask("/v1/payment_intents", ["amount=1", "currency=eur"]))).toBe("currency_not_allowed");
  });
});
