/**
 * Goal: each Stripe operation is priced, free or refused as its exposure demands, and answers mean what they say.
 * Method: tables over the compiled connector; refusals go through stripe-node's own error classes.
 * Limit: answers are written after Stripe's documentation; Stripe is not asked here.
 */
import Stripe from "stripe";
import { describe, expect, test } from "vitest";
import { type Code, catalogue, Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import type { Json, RequestInput } from "../../service/vendors/vendor.ts";
import { answer, factsOf, input, lookUp, refusal, sentence } from "./support.ts";

const stripe = loadVendors({ now: () => 0 }).get("stripe")!;
const segments = (path: string) => path.slice(1).split("/");
const operation = (line: string) => {
  const [method = "", path = ""] = line.split(" ");
  return stripe.find(method, segments(path));
};
const tags = { callId: "c1", vendorKey: "c1-1" };

function run(line: string, body = "", found?: unknown, more: Partial<RequestInput> = {}) {
  const at = operation(line);
  const request = stripe.parse(at, input(body, body.startsWith("{") ? "application/json" : undefined, more));
  const quote = stripe.quote(at, request, found as Json | undefined, null);
  return {
    request,
    quote,
    sent: () => decodeURIComponent(stripe.encode(at, request, quote, tags).body?.toString() ?? ""),
    judge: (status: number, json: unknown) =>
      stripe.judge(at, request, quote, found as Json | undefined, answer(status, json)),
  };
}

const intent = {
  id: "pi_1",
  amount: 4000,
  amount_received: 0,
  amount_capturable: 0,
  currency: "usd",
  status: "requires_confirmation",
};
const held = { ...intent, status: "requires_capture", amount_capturable: 4000 };

describe("prices before sending", () => {
  const priced: [string, string, unknown, number, string | null][] = [
    ["POST /v1/payment_intents", "amount=4000&currency=usd", undefined, 40_000_000, null],
    ["POST /v1/payment_intents", "amount=1&currency=USD", undefined, 10_000, null],
    ["POST /v1/payment_intents", '{"amount":4000,"currency":"usd"}', undefined, 40_000_000, null],
    ["POST /v1/payment_intents/pi_1", "amount=5000", intent, 50_000_000, "pi_1"],
    ["POST /v1/payment_intents/pi_1", "description=x", undefined, 0, null],
    ["POST /v1/payment_intents/pi_1/confirm", "", intent, 40_000_000, "pi_1"],
    ["POST /v1/payment_intents/pi_1/capture", "", held, 40_000_000, "pi_1"],
    ["POST /v1/payment_intents/pi_1/capture", "amount_to_capture=1500", held, 15_000_000, "pi_1"],
    ["POST /v1/payment_intents/pi_1/capture", "amount_to_capture=1500&final_capture=false", held, 40_000_000, "pi_1"],
    ["POST /v1/payment_intents/pi_1/cancel", "", intent, 0, "pi_1"],
    ["POST /v1/payment_intents/pi_1/increment_authorization", "amount=6000", held, 60_000_000, "pi_1"],
    ["POST /v1/charges", "amount=2500&currency=usd&source=tok_visa", undefined, 25_000_000, null],
    ["POST /v1/charges/ch_1/capture", "", { amount: 900, currency: "usd" }, 9_000_000, "ch_1"],
    ["POST /v1/charges/ch_1/capture", "amount=500", { amount: 900, currency: "usd" }, 5_000_000, "ch_1"],
    ["POST /v1/refunds", "charge=ch_1&amount=300", { currency: "usd" }, 3_000_000, null],
    [
      "POST /v1/refunds",
      "charge=ch_1",
      { amount_captured: 900, amount_refunded: 200, currency: "usd" },
      7_000_000,
      null,
    ],
    [
      "POST /v1/refunds",
      "payment_intent=pi_1",
      { amount_received: 900, latest_charge: { amount_refunded: 100 }, currency: "usd" },
      8_000_000,
      null,
    ],
    [
      "POST /v1/refunds",
      "payment_intent=pi_1",
      { amount_received: 900, latest_charge: "ch_1", currency: "usd" },
      9_000_000,
      null,
    ],
    ["POST /v1/customers", "email=a@b.c", undefined, 0, null],
  ];
  test.each(priced)("%s with %j costs at most what it can move", (line, body, found, micros, object) => {
    expect(run(line, body, found).quote).toMatchObject({ micros, object });
  });

  const refused: [string, string, Code][] = [
    ["no amount", "currency=usd", "request_invalid"],
    ["no currency", "amount=4000", "request_invalid"],
    ["an empty amount", "amount=&currency=usd", "request_invalid"],
    ["a negative amount", "amount=-4000&currency=usd", "request_invalid"],
    ["a signed amount", "amount=%2B4000&currency=usd", "request_invalid"],
    ["an amount with a fraction", "amount=40.00&currency=usd", "request_invalid"],
    ["an amount with an exponent", "amount=4e3&currency=usd", "request_invalid"],
    ["a hexadecimal amount", "amount=0x10&currency=usd", "request_invalid"],
    ["an amount in other digits", "amount=%D9%A4&currency=usd", "request_invalid"],
    ["an amount of thirteen digits", "amount=1234567890123&currency=usd", "request_invalid"],
    ["an amount beyond what a cap may be", "amount=999999999999&currency=usd", "endpoint_unpriced"],
    ["a list of amounts", "amount[]=1&currency=usd", "request_invalid"],
    ["a map of amounts", "amount[a]=1&currency=usd", "request_invalid"],
    ["a JSON amount spelled with a point", '{"amount":4000.0,"currency":"usd"}', "request_invalid"],
    ["a JSON amount of null", '{"amount":null,"currency":"usd"}', "request_invalid"],
    ["another currency", "amount=4000&currency=eur", "currency_not_allowed"],
    ["a currency of four letters", "amount=4000&currency=usdt", "currency_not_allowed"],
  ];
  test.each(refused)("%s is refused, never taken for nothing", (_, body, code) => {
    expect(refusal(() => run("POST /v1/payment_intents", body))).toBe(code);
  });

  test("what the look-up must tell is refused when it does not tell it", () => {
    expect(refusal(() => run("POST /v1/payment_intents/pi_1/confirm", "", undefined))).toBe("request_invalid");
    expect(refusal(() => run("POST /v1/payment_intents/pi_1/confirm", "", { amount: -1, currency: "usd" }))).toBe(
      "request_invalid",
    );
    expect(refusal(() => run("POST /v1/payment_intents/pi_1/confirm", "", { amount: 1, currency: "eur" }))).toBe(
      "currency_not_allowed",
    );
    expect(
      refusal(() =>
        run("POST /v1/refunds", "charge=ch_1", { amount_captured: 1, amount_refunded: 2, currency: "usd" }),
      ),
    ).not.toBe("none");
  });

  test("look-ups go to the object that the request names, and nowhere else", () => {
    const target = (line: string, body: string) =>
      stripe.lookupTarget(operation(line), stripe.parse(operation(line), input(body)));
    expect(target("POST /v1/payment_intents", "amount=1&currency=usd")).toBeNull();
    expect(target("POST /v1/payment_intents/pi_1", "description=x")).toBeNull();
    expect(target("POST /v1/payment_intents/pi_1", "currency=jpy")).toBe("/v1/payment_intents/pi_1");
    expect(target("POST /v1/refunds", "charge=ch_1")).toBe("/v1/charges/ch_1");
    expect(target("POST /v1/refunds", "payment_intent=pi_1")).toBe("/v1/payment_intents/pi_1?expand[0]=latest_charge");
    expect(refusal(() => target("POST /v1/refunds", "charge=.."))).toBe("request_invalid");
    expect(refusal(() => target("POST /v1/refunds", "charge=../account"))).toBe("request_invalid");
    expect(refusal(() => target("POST /v1/refunds", "charge=ch_1&payment_intent=pi_1"))).toBe("request_invalid");
    expect(refusal(() => target("POST /v1/refunds", "amount=1"))).toBe("request_invalid");
  });

  test("what has no upper bound is refused unless the key says what to assume", () => {
    const at = operation("POST /v1/subscriptions");
    const request = stripe.parse(at, input("customer=cus_1"));
    expect(refusal(() => stripe.quote(at, request, undefined, null))).toBe("endpoint_unpriced");
    expect(stripe.quote(at, request, undefined, 99_000_000).micros).toBe(99_000_000);
  });
});

describe("what is sent", () => {
  test("is the parse again, with our call id for the reconciler and our idempotency key", () => {
    const at = operation("POST /v1/payment_intents");
    const request = stripe.parse(at, input("currency=usd&amount=4000&metadata[a]=b+c&expand[]=customer"));
    const message = stripe.encode(at, request, stripe.quote(at, request, undefined, null), tags);
    expect(message.body?.toString()).toBe(
      "currency=usd&amount=4000&metadata[a]=b%20c&metadata[keybrake_call]=c1-1&expand[0]=customer",
    );
    expect(message).toMatchObject({
      method: "POST",
      target: "/v1/payment_intents",
      headers: { "idempotency-key": "c1-1", "content-type": "application/x-www-form-urlencoded" },
    });
    expect(stripe.authorise(message, "sk_test_1").headers).toMatchObject({ authorization: "Bearer sk_test_1" });
  });

  test("pins the captured and the refunded amount to what was priced", () => {
    expect(run("POST /v1/payment_intents/pi_1/capture", "", held).sent()).toBe("amount_to_capture=4000");
    expect(run("POST /v1/charges/ch_1/capture", "", { amount: 900, currency: "usd" }).sent()).toBe("amount=900");
    expect(
      run("POST /v1/refunds", "charge=ch_1", { amount_captured: 900, amount_refunded: 200, currency: "usd" }).sent(),
    ).toBe("charge=ch_1&amount=700&metadata[keybrake_call]=c1-1");
  });

  test("JSON becomes the form that says the same, and is the same request", () => {
    const asForm = run(
      "POST /v1/payment_intents",
      "amount=4000&currency=usd&metadata[a]=1&payment_method_types[]=card&confirm=true",
    );
    const asJson = run(
      "POST /v1/payment_intents",
      '{"confirm":true,"payment_method_types":["card"],"metadata":{"a":1},"currency":"usd","amount":4000,"shipping":{}}',
    );
    expect(asJson.request.canonical).toBe(asForm.request.canonical);
    expect(asJson.request.body).toEqual(asForm.request.body);
  });

  test("an idempotency key in the body is lifted out of it", () => {
    const lifted = run("POST /v1/payment_intents", '{"amount":4000,"currency":"usd","idempotency_key":"order-1"}');
    expect(lifted.request.bodyKey).toBe("order-1");
    expect(lifted.sent()).not.toContain("idempotency_key");
    expect(lifted.request.canonical).toBe(
      run("POST /v1/payment_intents", "amount=4000&currency=usd").request.canonical,
    );
    const both = { headers: { "idempotency-key": "other" } };
    expect(
      refusal(() => run("POST /v1/payment_intents", "amount=4000&currency=usd&idempotency_key=a", undefined, both)),
    ).toBe("request_invalid");
  });

  test("a query on a write, a body on a read, and metadata that is no map are refused", () => {
    expect(
      refusal(() => run("POST /v1/payment_intents", "amount=1&currency=usd", undefined, { query: "amount=2" })),
    ).toBe("request_invalid");
    expect(refusal(() => run("GET /v1/customers", "limit=1"))).toBe("request_invalid");
    expect(refusal(() => run("POST /v1/payment_intents", "amount=1&currency=usd&metadata=").sent())).toBe(
      "request_invalid",
    );
  });

  test("a read keeps its query, encoded anew", () => {
    const at = operation("GET /v1/customers");
    const request = stripe.parse(at, input("", null, { query: "email=a%40b.c&created[gte]=1" }));
    expect(stripe.encode(at, request, stripe.quote(at, request, undefined, null), tags)).toMatchObject({
      target: "/v1/customers?email=a%40b.c&created[gte]=1",
      body: null,
    });
  });
});

describe("accounts and reserved fields", () => {
  const create = (extra: string, more: Partial<RequestInput> = {}) =>
    refusal(() => run("POST /v1/payment_intents", `amount=1&currency=usd&${extra}`, undefined, more));
  const listed = { accounts: ["acct_1"] };

  test("money for another account goes only to one that the key lists", () => {
    expect(create("on_behalf_of=acct_1")).toBe("parameter_not_allowed");
    expect(create("on_behalf_of=acct_1", listed)).toBe("none");
    expect(create("on_behalf_of=acct_2", listed)).toBe("parameter_not_allowed");
    expect(create("transfer_data[destination]=acct_2", listed)).toBe("parameter_not_allowed");
    expect(create("transfer_data[destination]=acct_1&transfer_data[amount]=1", listed)).toBe("none");
    expect(create("transfer_data[amount]=1", listed)).toBe("parameter_not_allowed");
    expect(create("application_fee_amount=1", listed)).toBe("parameter_not_allowed");
    expect(create("application_fee_amount=1&on_behalf_of=acct_1", listed)).toBe("none");
  });

  test("Stripe-Account and Stripe-Context are taken only when the key lists them", () => {
    for (const name of ["stripe-account", "stripe-context"]) {
      expect(create("x=1", { headers: { [name]: "acct_1" } })).toBe("parameter_not_allowed");
      expect(create("x=1", { ...listed, headers: { [name]: "acct_1" } })).toBe("none");
    }
  });

  test("the same request in another account is another request", () => {
    const plain = run("POST /v1/payment_intents", "amount=1&currency=usd").request.canonical;
    const other = run("POST /v1/payment_intents", "amount=1&currency=usd", undefined, {
      ...listed,
      headers: { "stripe-account": "acct_1" },
    }).request.canonical;
    expect(other).not.toBe(plain);
  });

  test("nobody but the proxy writes the field that the reconciler reads", () => {
    expect(create("metadata[keybrake_call]=forged")).toBe("parameter_not_allowed");
    expect(refusal(() => run("POST /v1/payment_intents/pi_1", "metadata[keybrake_call]=forged"))).toBe(
      "parameter_not_allowed",
    );
  });

  test("a customer's stored balance is not free", () => {
    expect(refusal(() => run("POST /v1/customers", "balance=-5000"))).toBe("endpoint_unpriced");
  });
});

describe("answers", () => {
  const statuses: [string, object, number][] = [
    ["succeeded", { amount_received: 3900 }, 39_000_000],
    ["requires_capture", { amount_capturable: 2000 }, 20_000_000],
    ["requires_capture", { amount_capturable: 500, amount_received: 1500 }, 20_000_000],
    ["canceled", {}, 0],
    ["canceled", { amount_received: undefined }, 0],
    ["canceled", { amount_received: 1500 }, 15_000_000],
    ["requires_confirmation", {}, 40_000_000],
    ["requires_payment_method", {}, 40_000_000],
    ["requires_action", {}, 40_000_000],
    ["processing", {}, 40_000_000],
    ["a status of tomorrow", {}, 40_000_000],
  ];
  test.each(statuses)("an intent that is %s with %j is exposure of its own measure", (status, fields, micros) => {
    const verdict = run("POST /v1/payment_intents", "amount=4000&currency=usd").judge(200, {
      ...intent,
      ...fields,
      status,
    });
    expect(verdict).toMatchObject({
      kind: "settle",
      micros,
      objectId: "pi_1",
      object: "pi_1",
      currency: "usd",
      pricePending: false,
    });
  });

  test("a smaller capture and a cancel settle the object at what is left of it", () => {
    const capture = run("POST /v1/payment_intents/pi_1/capture", "amount_to_capture=1500", held);
    expect(capture.judge(200, { ...intent, status: "succeeded", amount_received: 1500 })).toMatchObject({
      micros: 15_000_000,
      object: "pi_1",
      amountMinor: 1500,
    });
    const cancel = run("POST /v1/payment_intents/pi_1/cancel", "", intent);
    expect(cancel.judge(200, { ...intent, status: "canceled" })).toMatchObject({ micros: 0, object: "pi_1" });
  });

  test("a refund is an exposure of its own: it belongs to no object", () => {
    const refund = run("POST /v1/refunds", "charge=ch_1&amount=300", { currency: "usd" });
    expect(refund.judge(200, { id: "re_1", amount: 300, currency: "usd", status: "pending" })).toMatchObject({
      micros: 3_000_000,
      objectId: "re_1",
      object: null,
    });
  });

  test("a 2xx that cannot be read settles at the quote", () => {
    const create = run("POST /v1/payment_intents", "amount=4000&currency=usd");
    for (const json of [
      undefined,
      null,
      [],
      "x",
      {},
      { id: "pi_1", status: "succeeded" },
      { id: "pi_1", amount: -1, status: "x", currency: "usd" },
    ]) {
      expect(create.judge(200, json)).toMatchObject({ kind: "settle", micros: 40_000_000 });
    }
  });

  const classes: [number, unknown, string][] = [
    [400, { error: { type: "invalid_request_error" } }, "release"],
    [400, { error: { type: "idempotency_error" } }, "unknown"],
    [400, undefined, "unknown"],
    [401, {}, "credential"],
    [402, { error: { type: "card_error" } }, "release"],
    [403, {}, "release"],
    [404, {}, "release"],
    [409, {}, "unknown"],
    [415, {}, "release"],
    [422, {}, "release"],
    [429, {}, "release"],
    [302, {}, "unknown"],
    [418, {}, "unknown"],
    [500, {}, "unknown"],
    [503, undefined, "unknown"],
  ];
  test.each(classes)("status %i with %j means %s", (status, json, kind) => {
    expect(run("POST /v1/payment_intents", "amount=4000&currency=usd").judge(status, json).kind).toBe(kind);
  });

  test("a free read that fails leaves nothing unknown, a free write does", () => {
    expect(run("GET /v1/customers").judge(500, {})).toEqual({ kind: "release" });
    expect(run("POST /v1/customers", "email=a@b.c").judge(500, {})).toEqual({ kind: "unknown" });
    expect(run("POST /v1/customers", "email=a@b.c").judge(200, { id: "cus_1" })).toMatchObject({
      kind: "settle",
      micros: 0,
    });
  });

  test("the replay header is what makes a replay", () => {
    expect(stripe.replayed(answer(200, {}, { "idempotent-replayed": "true" }))).toBe(true);
    expect(stripe.replayed(answer(200, {}))).toBe(false);
  });
});

describe("the truth later", () => {
  const list = (data: object[], has_more = false) => ({ object: "list", data, has_more });
  const mine = { ...intent, metadata: { keybrake_call: "c1-2" } };
  const plan = (line = "POST /v1/payment_intents", path = "/v1/payment_intents") =>
    stripe.reconcile(line, path, factsOf({ callId: "c1", vendorKey: "c1-2", quoteMicros: 40_000_000 }))!;

  test("a create is found by our call id and generation on any page", () => {
    expect(plan().target).toBe("/v1/payment_intents?created[gte]=999700&created[lte]=1000960&limit=100");
    const first = plan();
    expect(first.read(answer(200, list([{ ...intent, id: "pi_9" }], true)))).toEqual({
      kind: "next",
      target: `${first.target}&starting_after=pi_9`,
    });
    expect(lookUp(plan(), [list([intent], true), list([mine])])).toMatchObject({
      kind: "found",
      verdict: { kind: "settle", micros: 40_000_000, objectId: "pi_1", object: "pi_1" },
    });
  });

  test("a charge that is found and was declined is released, one that was paid settles", () => {
    const found = (status: string) => {
      const charge = { id: "ch_1", amount: 4000, currency: "usd", captured: true, amount_captured: 4000, status };
      const plan = stripe.reconcile("POST /v1/charges", "/v1/charges", factsOf({ callId: "c1", vendorKey: "c1-2" }))!;
      return lookUp(plan, [list([{ ...charge, metadata: { keybrake_call: "c1-2" } }])]);
    };
    expect(found("failed")).toEqual({ kind: "found", verdict: { kind: "release" } });
    expect(found("succeeded")).toMatchObject({ kind: "found", verdict: { kind: "settle", micros: 40_000_000 } });
  });

  test("only a complete list without it proves absence", () => {
    expect(lookUp(plan(), [list([{ ...intent, metadata: { keybrake_call: "c1-1" } }])])).toEqual({ kind: "absent" });
    expect(lookUp(plan(), [list([intent], true), list([])])).toEqual({ kind: "absent" });
    expect(lookUp(plan(), [{ data: [] }])).toEqual({ kind: "unsure" });
    expect(lookUp(plan(), [{ data: [], has_more: "no" }])).toEqual({ kind: "unsure" });
    expect(lookUp(plan(), [{ data: [], has_more: true }])).toEqual({ kind: "unsure" });
    expect(plan().read(answer(500, {}))).toEqual({ kind: "unsure" });
    expect(plan().read(answer(200, undefined))).toEqual({ kind: "unsure" });
    expect(
      lookUp(
        plan(),
        Array.from({ length: 60 }, () => list([intent], true)),
      ),
    ).toEqual({ kind: "unsure" });
  });

  test("the list is read in the account that the call was made in", () => {
    const facts = factsOf({ headers: { "stripe-account": "acct_1", "stripe-version": "x" } });
    expect(stripe.reconcile("POST /v1/payment_intents", "/v1/payment_intents", facts)!.headers).toEqual({
      "stripe-account": "acct_1",
    });
  });

  test("confirm, capture and cancel are judged by the object as it stands", () => {
    const at = (act: string, object: object) =>
      lookUp(plan(`POST /v1/payment_intents/{id}/${act}`, `/v1/payment_intents/pi_1/${act}`), [object]);
    expect(plan("POST /v1/payment_intents/{id}/confirm", "/v1/payment_intents/pi_1/confirm").target).toBe(
      "/v1/payment_intents/pi_1",
    );
    expect(at("confirm", { ...intent, status: "succeeded", amount_received: 4000 })).toMatchObject({
      kind: "found",
      verdict: { micros: 40_000_000, object: "pi_1" },
    });
    expect(at("confirm", intent)).toEqual({ kind: "absent" });
    expect(at("capture", { ...intent, status: "succeeded", amount_received: 1500 })).toMatchObject({
      kind: "found",
      verdict: { micros: 15_000_000 },
    });
    expect(at("capture", held)).toEqual({ kind: "absent" });
    expect(at("cancel", { ...intent, status: "canceled" })).toMatchObject({ kind: "found", verdict: { micros: 0 } });
    expect(at("cancel", { ...intent, status: "processing" })).toEqual({ kind: "unsure" });
  });

  test("an update and an increment happened when the intent has what they asked for; the old amount is no evidence of success", () => {
    const at = (act: string, body: Record<string, string>, object: object) => {
      const [line, path] = [`POST /v1/payment_intents/{id}${act}`, `/v1/payment_intents/pi_1${act}`];
      return lookUp(stripe.reconcile(line, path, factsOf({ body, quoteMicros: 60_000_000 }))!, [object]);
    };
    for (const act of ["", "/increment_authorization"]) {
      expect(at(act, { amount: "6000" }, { ...intent, amount: 6000 })).toMatchObject({
        kind: "found",
        verdict: { micros: 60_000_000, object: "pi_1" },
      });
      expect(at(act, { amount: "6000" }, intent)).toEqual({ kind: "absent" });
    }
    expect(at("", { currency: "USD" }, intent)).toMatchObject({ kind: "found", verdict: { micros: 40_000_000 } });
    expect(at("", { currency: "eur" }, intent)).toEqual({ kind: "absent" });
    expect(at("", {}, intent)).toMatchObject({ kind: "found", verdict: { micros: 0, object: null } });
  });
});

describe("endpoints", () => {
  test.each([
    "POST /v1/ephemeral_keys",
    "GET /v1/ephemeral_keys/ek_1",
    "POST /v1/EPHEMERAL_KEYS",
    "POST /oauth/token",
    "POST /v1/webhook_endpoints",
    "GET /v1/webhook_endpoints/we_1",
    "POST /v1/account_sessions",
    "POST /v1/accounts",
    "POST /v1/accounts/acct_1/login_links",
    "GET /v1/account",
    "POST /v1/apps/secrets",
    "POST /v1/terminal/connection_tokens",
    "POST /v1/issuing/cards",
    "POST /v2/money_management/outbound_payments",
  ])("%s is never forwarded", (line) => {
    expect(refusal(() => operation(line))).toBe("endpoint_not_allowed");
  });

  test.each([
    "POST /v1/payouts",
    "POST /v1/transfers",
    "POST /v1/topups",
    "DELETE /v1/customers/cus_1",
    "PUT /v1/payment_intents",
    "POST /v1/payment_intents/pi_1/verify_microdeposits",
    "POST /v1/charges/ch_1/refund",
    "GET /v1/nothing",
    "POST /V1/payment_intents",
    "post /v1/payment_intents",
    "GET /v1",
  ])("%s has no rule and is refused", (line) => {
    expect(refusal(() => operation(line))).toBe("endpoint_unpriced");
  });

  test.each(["..", ".", "%2e%2e", "pi_1%2fconfirm", "pi;1", "a b", "", "pi\\1", "pí", "pi_1?x", "pi#1"])(
    "the path segment %j is refused",
    (segment) => {
      expect(refusal(() => stripe.find("POST", ["v1", "payment_intents", segment]))).toBe("request_invalid");
    },
  );

  test("every endpoint of the connector is found by its own line and allowed by its own entry", () => {
    for (const { endpoint, kind } of stripe.endpoints) {
      const at = operation(endpoint.replaceAll(/\{\w+\}/g, "id_1"));
      expect(at).toMatchObject({ endpoint, kind });
      expect(stripe.checkAllowed(endpoint)).toBeNull();
      expect(stripe.allows([endpoint], at)).toBe(true);
      expect(stripe.allows(["*"], at)).toBe(true);
      expect(at.shield).toBe(at.method !== "GET");
      expect(at.stream).toBe(at.method === "GET");
    }
  });
});

describe("keys and errors", () => {
  test.each([
    ["stripe-node-retry-0e4a6e0e-0000-4000-8000-000000000000", "sdk"],
    ["1732258133123456789_Ab3_x-", "sdk"],
    ["0e4a6e0e-1234-4abc-8def-0123456789ab", "maybe"],
    ["0e4a6e0e-1234-1abc-cdef-0123456789ab", "maybe"],
    ["0e4a6e0e-1234-1abc-cdef-0123456789ag", "client"],
    ["order-17", "client"],
    ["x-stripe-node-retry-0e4a6e0e-0000-4000-8000-000000000000", "client"],
  ] as const)("the idempotency key %s is made by: %s", (key, maker) => {
    expect(stripe.keyMadeBy(key)).toBe(maker);
  });

  const classes: Record<number, string> = {
    400: "StripeInvalidRequestError",
    401: "StripeAuthenticationError",
    403: "StripePermissionError",
    404: "StripeInvalidRequestError",
    429: "StripeRateLimitError",
  };
  test.each(Object.keys(catalogue) as Code[])("%s reaches stripe-node as its typed error", (code) => {
    const refused = new Refusal(code, "because");
    const body = JSON.parse(stripe.errorBody(refused).body) as { code: string; error: Stripe.StripeRawError };
    expect(body.code).toBe(code);
    const error = Stripe.errors.generateV1Error({ ...body.error, statusCode: refused.status } as Stripe.StripeRawError);
    expect(error.constructor.name).toBe(classes[refused.status] ?? "StripeAPIError");
    expect(error.message).toBe(`${code}: because`);
    expect(error.code).toBe(code);
  });

  test("an unknown endpoint is refused with the nearest that exist", () => {
    expect(sentence(() => operation("POST /v1/payouts"))).toContain("POST /v1/payouts");
    expect(stripe.checkAllowed("POST /v1/payment_intent")).toContain("`POST /v1/payment_intents`");
  });
});
