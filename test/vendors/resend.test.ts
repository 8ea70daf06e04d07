/**
 * Goal: every recipient of a mail is priced before it is sent.
 * Method: tables over the compiled connector; refusals go through resend-node with a fetch that answers them.
 * Limit: answers are written after Resend's documentation.
 */
import { Resend } from "resend";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Code, Refusal } from "../../service/errors.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { answer, input, refusal } from "./support.ts";

const resend = loadVendors({ now: () => 0 }).get("resend")!;
const mail = resend.find("POST", ["emails"]);
const batch = resend.find("POST", ["emails", "batch"]);
const parse = (operation: typeof mail, body: unknown) =>
  resend.parse(operation, input(JSON.stringify(body), "application/json"));
const price = (body: unknown, operation = mail) =>
  resend.quote(operation, parse(operation, body), undefined, null).micros;
const base = { from: "a@b.c", subject: "x", text: "y" };

describe("prices before sending", () => {
  const priced: [string, object, number][] = [
    ["one recipient", { to: "a@b.c" }, 900],
    ["two in a list", { to: ["a@b.c", "d@e.f"] }, 1800],
    ["to, cc and bcc", { to: ["a@b.c"], cc: "d@e.f", bcc: ["g@h.i", "j@k.l"] }, 3600],
    ["two addresses in one text", { to: "a@b.c, d@e.f" }, 1800],
    ["a comma in a name is still one", { to: '"Doe, J" <a@b.c>' }, 900],
    ["a text that is no address counts as one", { to: "nobody" }, 900],
  ];
  test.each(priced)("%s", (_, fields, micros) => {
    expect(price({ ...base, ...fields })).toBe(micros);
  });

  test("a batch is the sum of its mails", () => {
    expect(
      price(
        [
          { ...base, to: "a@b.c" },
          { ...base, to: ["a@b.c", "d@e.f"], bcc: "g@h.i" },
        ],
        batch,
      ),
    ).toBe(3600);
    expect(
      price(
        Array.from({ length: 100 }, () => ({ ...base, to: "a@b.c" })),
        batch,
      ),
    ).toBe(90_000);
  });

  const refused: [string, () => unknown, Code][] = [
    ["no recipient", () => price(base), "request_invalid"],
    ["a recipient that is a number", () => price({ ...base, to: 7 }), "request_invalid"],
    ["a list that holds a number", () => price({ ...base, to: ["a@b.c", 7] }), "request_invalid"],
    ["recipients in another case as well", () => price({ ...base, to: "a@b.c", TO: ["x@y.z"] }), "request_invalid"],
    ["copies in another case", () => price({ ...base, to: "a@b.c", CC: ["x@y.z"] }), "parameter_not_allowed"],
    ["an audience", () => price({ ...base, to: "a@b.c", audience_id: "1" }), "parameter_not_allowed"],
    [
      "a batch of 101",
      () =>
        price(
          Array.from({ length: 101 }, () => ({ ...base, to: "a@b.c" })),
          batch,
        ),
      "request_invalid",
    ],
    ["an empty batch", () => price([], batch), "request_invalid"],
    ["a batch that is no list", () => price({ ...base, to: "a@b.c" }, batch), "request_invalid"],
    ["a batch of texts", () => price(["a@b.c"], batch), "request_invalid"],
    [
      "one mail of a batch without a recipient",
      () => price([{ ...base, to: "a@b.c" }, base], batch),
      "request_invalid",
    ],
    ["a form", () => resend.parse(mail, input("to=a%40b.c")), "media_type_unsupported"],
  ];
  test.each(refused)("%s is refused", (_, act, code) => {
    expect(refusal(act)).toBe(code);
  });

  test.each([
    ["POST", ["api-keys"], "endpoint_not_allowed"],
    ["GET", ["api-keys", "1"], "endpoint_not_allowed"],
    ["POST", ["webhooks"], "endpoint_not_allowed"],
    ["POST", ["audiences"], "endpoint_unpriced"],
    ["POST", ["emails", "1", "cancel"], "endpoint_unpriced"],
    ["GET", ["domains"], "none"],
    ["GET", ["emails", "1"], "none"],
  ])("%s /%j: %s", (method, segments, code) => {
    expect(refusal(() => resend.find(method, segments))).toBe(code);
  });

  test("a broadcast's audience cannot be priced", () => {
    const operation = resend.find("POST", ["broadcasts", "b1", "send"]);
    expect(refusal(() => resend.quote(operation, parse(operation, {}), undefined, null))).toBe("endpoint_unpriced");
  });
});

describe("messages and answers", () => {
  test("what is sent is the parse again, with our idempotency key; a batch is a list again", () => {
    const mails = [
      { ...base, to: "a@b.c", headers: { "X-A": "1" }, attachments: [{ filename: "f", content: "aGk=" }] },
    ];
    const request = parse(batch, mails);
    const message = resend.encode(batch, request, resend.quote(batch, request, undefined, null), {
      callId: "c",
      vendorKey: "c-1",
    });
    expect(JSON.parse(message.body!.toString())).toEqual(mails);
    expect(message.headers).toMatchObject({ "content-type": "application/json", "idempotency-key": "c-1" });
  });

  test("a 200 settles at the recipients that were priced, by the id that came back", () => {
    const request = parse(mail, { ...base, to: "a@b.c" });
    const quote = resend.quote(mail, request, undefined, null);
    const judge = (status: number, json: unknown) =>
      resend.judge(mail, request, quote, undefined, answer(status, json));
    expect(judge(200, { id: "e1" })).toMatchObject({
      kind: "settle",
      micros: 900,
      objectId: "e1",
      pricePending: false,
    });
    expect(judge(422, { name: "validation_error" })).toEqual({ kind: "release" });
    expect(judge(429, {})).toEqual({ kind: "release" });
    expect(judge(409, { name: "concurrent_idempotent_requests" })).toEqual({ kind: "unknown" });
    expect(judge(500, {})).toEqual({ kind: "unknown" });
  });

  test("there is no way to look a mail up: it stays unknown for the operator", () => {
    expect(
      resend.reconcile("POST /emails", "/emails", {
        vendorKey: "k",
        callId: "c",
        firstSentAt: 0,
        lastSentAt: 0,
        body: {},
        headers: {},
        quoteMicros: 900,
        objectId: null,
        taken: () => false,
      }),
    ).toBeNull();
  });
});

describe("refusals in resend-node", () => {
  afterEach(() => vi.unstubAllGlobals());
  test.each([
    ["cap_exhausted", "daily_quota_exceeded"],
    ["key_revoked", "invalid_api_key"],
    ["endpoint_not_allowed", "restricted_api_key"],
    ["ledger_unavailable", "application_error"],
  ] as const)("%s arrives as its error %s", async (code, name) => {
    const refused = new Refusal(code, "because");
    const { body, contentType } = resend.errorBody(refused);
    vi.stubGlobal(
      "fetch",
      async () => new Response(body, { status: refused.status, headers: { "content-type": contentType } }),
    );
    const { data, error } = await new Resend("vk_x").emails.send({ ...base, to: "a@b.c" });
    expect(data).toBeNull();
    expect(error).toMatchObject({ name, statusCode: refused.status, message: `${code}: because` });
  });
});
