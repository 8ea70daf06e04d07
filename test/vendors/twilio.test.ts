/**
 * Goal: a text is priced before it is sent by segments and destination, never below what Twilio may bill, and its true
 * price is learnt later.
 * Method: tables over the compiled connector; refusals go through twilio-node's RestException.
 * Limit: prices are dated figures, not Twilio's bill; answers are written after its documentation.
 */
import Twilio from "twilio";
import { describe, expect, test } from "vitest";
import { type Code, catalogue, Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { segments } from "../../service/vendors/segments.ts";
import { answer, factsOf, input, lookUp, refusal } from "./support.ts";

const twilio = loadVendors({ now: () => 0 }).get("twilio")!;
const sid = `AC${"0".repeat(32)}`;
const path = ["2010-04-01", "Accounts", sid, "Messages.json"];
const endpoint = "POST /2010-04-01/Accounts/{AccountSid}/Messages.json";
const operation = twilio.find("POST", path);
const own = { ownAccount: sid };
const form = (fields: Record<string, string>) => new URLSearchParams(fields).toString();
const parse = (fields: Record<string, string> | string) =>
  twilio.parse(operation, input(typeof fields === "string" ? fields : form(fields), undefined, own));
const price = (fields: Record<string, string> | string) =>
  twilio.quote(operation, parse(fields), undefined, null).micros;
const text = { To: "+15551234567", From: "+15557654321", Body: "hello" };

describe("segments", () => {
  const counted: [string, string, number][] = [
    ["no text", "", 1],
    ["160 GSM-7 characters", "a".repeat(160), 1],
    ["161 GSM-7 characters", "a".repeat(161), 2],
    ["304 GSM-7 characters", "a".repeat(304), 2],
    ["305 GSM-7 characters, by the toll-free figure", "a".repeat(305), 3],
    ["80 euro signs, two units each", "€".repeat(80), 1],
    ["81 euro signs", "€".repeat(81), 2],
    ["an extension character that would be cut in two", `${"a".repeat(151)}€${"a".repeat(151)}`, 3],
    ["70 UCS-2 characters", "я".repeat(70), 1],
    ["71 UCS-2 characters", "я".repeat(71), 2],
    ["133 UCS-2 characters, by the toll-free figure", "я".repeat(133), 3],
    ["35 emoji, two units each", "😀".repeat(35), 1],
    ["36 emoji", "😀".repeat(36), 2],
    ["one character outside GSM-7 among 159", `${"a".repeat(159)}я`, 3],
  ];
  test.each(counted)("%s", (_, body, count) => {
    expect(segments(body)).toBe(count);
  });
});

describe("prices before sending", () => {
  const priced: [string, Record<string, string>, number][] = [
    ["one segment inside the United States", text, 14_500],
    ["three segments", { ...text, Body: "a".repeat(400) }, 43_500],
    ["Jamaica, whose +1876 must beat +1", { ...text, To: "+18765551234" }, 500_000],
    ["a destination that no table lists", { ...text, To: "+88212345" }, 500_000],
    ["a picture", { ...text, MediaUrl: "https://a.b/c.png" }, 54_500],
    [
      "a template whose text is not known: its longest form, with media",
      { To: text.To, From: text.From, ContentSid: "HX1" },
      402_500,
    ],
    ["WhatsApp", { ...text, To: "whatsapp:+15551234567" }, 200_000],
  ];
  test.each(priced)("%s", (_, fields, micros) => {
    expect(price(fields)).toBe(micros);
  });

  const refused: [string, Record<string, string> | string, Code][] = [
    ["no destination", { From: "+1555", Body: "x" }, "request_invalid"],
    ["another channel", { ...text, To: "messenger:123" }, "request_invalid"],
    ["a number without its country", { ...text, To: "5551234567" }, "request_invalid"],
    // Twilio dials all of these in Jamaica; by its first characters each would cost what +1 does.
    ["a number with spaces", { ...text, To: "+1 876 555 1234" }, "request_invalid"],
    ["a number with dashes", { ...text, To: "+1-876-555-1234" }, "request_invalid"],
    ["a number with brackets", { ...text, To: "+1(876)5551234" }, "request_invalid"],
    ["a number in other digits", { ...text, To: "+1\u0668\u0667\u06665551234" }, "request_invalid"],
    ["a number with an end of line", { ...text, To: "+15551234567\n" }, "request_invalid"],
    ["WhatsApp without a number", { ...text, To: "whatsapp:" }, "request_invalid"],
    ["two destinations", `${form(text)}&To=%2B15550000000`, "request_invalid"],
    ["the destination in another case as well", `${form(text)}&to=%2B15550000000`, "request_invalid"],
    ["a field that nobody priced", { ...text, SendToAll: "true" }, "parameter_not_allowed"],
  ];
  test.each(refused)("%s is refused", (_, fields, code) => {
    expect(refusal(() => price(fields))).toBe(code);
  });

  test("an operator's own table takes the place of ours, and other names are refused", () => {
    const sms = { date: "2026-11-01", entries: { "+49": "0.10" } };
    const load = (tables: object) =>
      loadVendors({ now: () => 0, connectors: { prices: { twilio: { tables } } } }).get("twilio")!;
    const quote = (to: string) => load({ sms }).quote(operation, parse({ ...text, To: to }), undefined, null).micros;
    expect(quote("+4915112345678")).toBe(100_000);
    expect(refusal(() => quote("+15551234567"))).toBe("endpoint_unpriced");
    expect(() => load({ smss: sms })).toThrow(/twilio\.tables\.smss: the connector has only sms, mms/);
  });
});

describe("the account", () => {
  const parseAs = (more: object) => refusal(() => twilio.parse(operation, input(form(text), undefined, more)));
  test("in the path must be the secret's own, or one that the key lists", () => {
    expect(parseAs(own)).toBe("none");
    expect(parseAs({ ownAccount: `AC${"1".repeat(32)}` })).toBe("parameter_not_allowed");
    expect(parseAs({ ownAccount: null })).toBe("parameter_not_allowed");
    expect(parseAs({ ownAccount: null, accounts: [sid] })).toBe("none");
    expect(twilio.accountOf(`${sid}:token`)).toBe(sid);
  });

  test.each([
    ["GET", ["2010-04-01", "Accounts", `${sid}.json`]],
    ["POST", ["2010-04-01", "Accounts.json"]],
    ["GET", ["2010-04-01", "accounts", `${sid}.JSON`]],
    ["POST", ["2010-04-01", "Accounts", sid, "Keys.json"]],
    ["GET", ["2010-04-01", "Accounts", sid, "SigningKeys", "SK1.json"]],
    ["POST", ["2010-04-01", "Accounts", sid, "Tokens.json"]],
  ])("%s %j hands out credentials and is never forwarded", (method, segments) => {
    expect(refusal(() => twilio.find(method, segments))).toBe("endpoint_not_allowed");
  });

  test("calls and an account id of another shape have no rule", () => {
    expect(refusal(() => twilio.find("POST", ["2010-04-01", "Accounts", sid, "Calls.json"]))).toBe("endpoint_unpriced");
    expect(refusal(() => twilio.find("POST", ["2010-04-01", "Accounts", "me", "Messages.json"]))).toBe(
      "endpoint_unpriced",
    );
  });

  test("the upstream's own name in front of the path says nothing new", () => {
    expect(twilio.find("POST", ["api.twilio.com", ...path])).toEqual(operation);
    expect(refusal(() => twilio.find("POST", ["verify.twilio.com", ...path]))).toBe("endpoint_unpriced");
  });

  test("the secret goes out as basic user and password", () => {
    const message = twilio.encode(operation, parse(text), twilio.quote(operation, parse(text), undefined, null), {
      callId: "c",
      vendorKey: "k",
    });
    expect(message.headers["idempotency-key"]).toBeUndefined();
    expect(message.body?.toString()).toBe("To=%2B15551234567&From=%2B15557654321&Body=hello");
    expect(twilio.authorise(message, `${sid}:token`).headers.authorization).toBe(
      `Basic ${Buffer.from(`${sid}:token`).toString("base64")}`,
    );
  });
});

describe("answers", () => {
  const quote = twilio.quote(operation, parse(text), undefined, null);
  const judge = (status: number, json: unknown) =>
    twilio.judge(operation, parse(text), quote, undefined, answer(status, json));

  test("a message that was taken settles at the quote, its price still to come", () => {
    expect(judge(201, { sid: "SM1", price: null, num_segments: "0" })).toMatchObject({
      kind: "settle",
      micros: 14_500,
      pricePending: true,
      objectId: "SM1",
      object: null,
    });
    expect(judge(201, undefined)).toMatchObject({ kind: "settle", micros: 14_500 });
  });

  test("the true price is the message's, its sign dropped, rounded up to the micro-dollar", () => {
    expect(twilio.priceTarget(endpoint, `/${path.join("/")}`, "SM1")?.target).toBe(
      `/2010-04-01/Accounts/${sid}/Messages/SM1.json`,
    );
    const known = (price: unknown, price_unit = "USD") => twilio.price(endpoint, answer(200, { price, price_unit }));
    expect(known("-0.00790")).toBe(7900);
    expect(known("-0.0079001")).toBe(7901);
    expect(known("0")).toBe(0);
    expect(known(null)).toBeNull();
    expect(known("-0.0079", "EUR")).toBeNull();
    expect(known("free")).toBeNull();
    expect(twilio.price(endpoint, answer(404, {}))).toBeNull();
  });
});

describe("the truth later", () => {
  // Sent from 1,000,000 s on: Mon, 12 Jan 1970 13:46:40 GMT.
  const made = "Mon, 12 Jan 1970 13:47:00 +0000";
  const message = { sid: "SM1", to: text.To, from: text.From, body: "hello", date_created: made };
  const plan = (more: object = {}) =>
    twilio.reconcile(endpoint, `/${path.join("/")}`, factsOf({ body: text, quoteMicros: 14_500, ...more }))!;
  const page = (messages: object[], next_page_uri: string | null = null) => ({ messages, next_page_uri });

  test("the message is looked for by its destination", () => {
    expect(plan().target).toBe(`/2010-04-01/Accounts/${sid}/Messages.json?To=%2B15551234567&PageSize=100`);
    expect(lookUp(plan(), [page([message])])).toMatchObject({
      kind: "found",
      verdict: { objectId: "SM1", micros: 14_500, pricePending: true },
    });
  });

  test("two identical texts are told apart by the ids that other calls own", () => {
    const taken = (id: string) => id === "SM1";
    expect(lookUp(plan({ taken }), [page([message, { ...message, sid: "SM2" }])])).toMatchObject({
      verdict: { objectId: "SM2" },
    });
    expect(lookUp(plan({ taken }), [page([message])])).toEqual({ kind: "absent" });
  });

  test("a message of the same minute with another text proves neither", () => {
    expect(lookUp(plan(), [page([{ ...message, body: "hallo" }])])).toEqual({ kind: "unsure" });
    expect(lookUp(plan(), [page([{ ...message, date_created: "yesterday" }])])).toEqual({ kind: "unsure" });
  });

  test("messages of another time do not count, and further pages are read", () => {
    const old = { ...message, date_created: "Mon, 12 Jan 1970 10:00:00 +0000" };
    const next = `/2010-04-01/Accounts/${sid}/Messages.json?To=%2B15551234567&PageSize=100&Page=1`;
    expect(lookUp(plan(), [page([old])])).toEqual({ kind: "absent" });
    expect(lookUp(plan(), [page([old], next), page([message])])).toMatchObject({ kind: "found" });
    expect(lookUp(plan(), [page([old], "/2010-04-01/Accounts.json?x=1")])).toEqual({ kind: "unsure" });
  });
});

test.each(Object.keys(catalogue) as Code[])(
  "%s reaches twilio-node with an integer code and our reason",
  async (code) => {
    const refused = new Refusal(code, "because");
    const { body } = twilio.errorBody(refused);
    const error = new Twilio.RestException({ statusCode: refused.status, body });
    expect(Number.isInteger(error.code)).toBe(true);
    expect(error).toMatchObject({ status: refused.status, message: `${code}: because`, details: { reason: code } });
  },
);
