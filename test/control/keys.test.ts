/**
 * Goal: issuing, looking up and stopping vault keys, route by route and status by status.
 * Method: the Express app on a real socket over the real ledger and the store in memory; every answer is checked against the
 * OpenAPI description by the client. Limit: one process; no call goes to a vendor.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Harness, issueKey, keyBody, makeCall, otherMail, resend, startControl, stripe } from "./harness.ts";

let harness: Harness;

beforeEach(async () => {
  harness = await startControl([stripe, resend, otherMail]);
});
afterEach(() => harness.close());

const post = (body: unknown) => harness.client.post("/vault/keys", body);

describe("POST /vault/keys answers 201", () => {
  it("with the key's text, its budget in dollars and micros, and times", async () => {
    const { status, json } = await post(keyBody("billing-1"));
    expect(status).toBe(201);
    expect(json).toMatchObject({
      label: "billing-1",
      status: "active",
      vendors: ["stripe"],
      allowed_endpoints: ["POST /v1/payment_intents"],
      cap_usd: "500.00",
      cap_micros: 500_000_000,
      daily_cap_usd: null,
      spent_micros: 0,
      reserved_usd: "0.00",
      available_usd: "500.00",
      created_at: "2026-11-22T10:00:00.000Z",
      expires_at: "2026-11-22T12:00:00.000Z",
    });
    expect(harness.vaultKeys.verify(String(json.vault_key))?.keyId).toBe(json.key_id);
  });

  it("to the body of the billing job: a daily cap for two hours is one cap for the key's life", async () => {
    const { status, json } = await post({
      vendor: "stripe",
      daily_usd_cap: 500.0,
      allowed_endpoints: ["POST /v1/payment_intents"],
      expires_in: "2h",
      agent_run_label: "trigger.dev/billing-agent/run_1",
    });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      label: "trigger.dev/billing-agent/run_1",
      cap_micros: 500_000_000,
      daily_cap_usd: null,
    });
  });

  it("keeps a daily cap beside none or a lifetime cap when the key lives longer than a day", async () => {
    const body = keyBody("long", { usd_cap: undefined, daily_usd_cap: "10.50", expires_in: "30d" });
    expect((await post(body)).json).toMatchObject({ cap_usd: null, daily_cap_usd: "10.50", available_usd: "10.50" });
    const both = keyBody("both", { usd_cap: 20, daily_usd_cap: 10, expires_in: "25h" });
    expect((await post(both)).json).toMatchObject({ cap_usd: "20.00", daily_cap_usd: "10.00", available_usd: "10.00" });
    const short = keyBody("short", { usd_cap: 20, daily_usd_cap: 10, expires_in: "24h" });
    expect((await post(short)).json).toMatchObject({ cap_usd: "10.00", daily_cap_usd: null });
  });

  it("with limits, accounts and the execution as asked", async () => {
    const { json } = await post(
      keyBody("limits", {
        execution: "billing-abc12",
        accounts: ["acct_1", "acct_1", "acct_2"],
        limits: { per_call_usd: "0.0083", calls_per_minute: 60, max_calls: 1000, concurrency: 8, assume_usd: 1 },
      }),
    );
    expect(json).toMatchObject({
      execution: "billing-abc12",
      accounts: ["acct_1", "acct_2"],
      limits: {
        per_call_usd: "0.0083",
        per_call_micros: 8300,
        calls_per_minute: 60,
        max_calls: 1000,
        concurrency: 8,
        assume_usd: "1.00",
      },
    });
    expect((await post(keyBody("none"))).json.limits).toMatchObject({ concurrency: 256, per_call_usd: null });
  });

  it("with several vendors, whose endpoints name their own", async () => {
    const { status, json } = await post(
      keyBody("two", {
        vendor: undefined,
        vendors: ["stripe", "resend"],
        allowed_endpoints: ["stripe:POST /v1/payment_intents", "resend:*", "resend:*"],
      }),
    );
    expect(status).toBe(201);
    expect(json.allowed_endpoints).toEqual(["stripe:POST /v1/payment_intents", "resend:*"]);
    const all = await post(
      keyBody("all", { vendor: undefined, vendors: ["stripe", "resend"], allowed_endpoints: ["*"] }),
    );
    expect(all.json.allowed_endpoints).toEqual(["stripe:*", "resend:*"]);
  });
});

describe("POST /vault/keys answers 200 with the same key", () => {
  it("when the same body comes again, whatever way it asks the same", async () => {
    const first = await post(keyBody("again", { usd_cap: 500, expires_in: "2h" }));
    const ways = [
      keyBody("again"),
      keyBody("again", { usd_cap: "500.00" }),
      keyBody("again", { usd_cap: "500" }),
      keyBody("again", { expires_in: "120m" }),
      keyBody("again", { vendor: undefined, vendors: ["stripe"] }),
      { ...keyBody("again"), label: undefined, agent_run_label: "again" },
      { ...keyBody("again"), agent_run_label: "again" },
    ];
    for (const body of ways) {
      const answer = await post(body);
      expect(answer.status).toBe(200);
      expect(answer.json.vault_key).toBe(first.json.vault_key);
    }
  });

  it("to 63 of 64 that ask at once", async () => {
    const answers = await Promise.all(Array.from({ length: 64 }, () => post(keyBody("race"))));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(63);
    expect(new Set(answers.map(({ json }) => json.vault_key)).size).toBe(1);
    expect((await harness.client.get("/vault/keys?label=race")).json.keys).toHaveLength(1);
  });

  it("also after the key was paused or raised", async () => {
    const { keyId, vaultKey } = await issueKey(harness, "later");
    await harness.client.post(`/vault/keys/${keyId}/pause`);
    await harness.client.post(`/vault/keys/${keyId}/raise`, { usd_cap: 700 });
    const { status, json } = await post(keyBody("later"));
    expect(status).toBe(200);
    expect(json).toMatchObject({ vault_key: vaultKey, status: "paused", cap_usd: "700.00" });
  });
});

describe("POST /vault/keys answers 409", () => {
  it.each([
    ["cap", { usd_cap: 501 }],
    ["lifetime", { expires_in: "3h" }],
    ["allow-list", { allowed_endpoints: ["*"] }],
    ["limits", { limits: { max_calls: 5 } }],
    ["accounts", { accounts: ["acct_1"] }],
    ["execution", { execution: "other" }],
    ["kind of cap", { usd_cap: undefined, daily_usd_cap: 500 }],
  ])("label_conflict when the %s differs", async (_what, more) => {
    await issueKey(harness, "conflict");
    const { status, json } = await post(keyBody("conflict", more));
    expect(status).toBe(409);
    expect(json.code).toBe("label_conflict");
    expect(json.vault_key).toBeUndefined();
  });

  it("label_retired after a revoke, so that a retry cannot bring a stopped run back", async () => {
    const { keyId } = await issueKey(harness, "stopped");
    await harness.client.delete(`/vault/keys/${keyId}`);
    for (const body of [keyBody("stopped"), keyBody("stopped", { usd_cap: 1 })]) {
      const { status, json } = await post(body);
      expect(status).toBe(409);
      expect(json.code).toBe("label_retired");
    }
  });

  it("label_retired when the key's lifetime is over", async () => {
    await issueKey(harness, "over");
    harness.clock.time += 2 * 3_600_000 - 1;
    expect((await post(keyBody("over"))).status).toBe(200);
    harness.clock.time += 1;
    expect((await post(keyBody("over"))).json.code).toBe("label_retired");
  });
});

describe("POST /vault/keys answers 400 and names the fix", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["no vendor", { vendor: undefined }, /either `vendor`.* or `vendors`/],
    ["both vendor and vendors", { vendors: ["stripe"] }, /either `vendor`/],
    ["a vendor nearly right", { vendor: "stripo" }, /no vendor `stripo`; did you mean `stripe`\?/],
    ["a vendor far off", { vendor: "sendgrid-eu" }, /this proxy has stripe, resend, other-mail/],
    ["a vendor that is a number", { vendor: 5 }, /: `vendor` must be a string$/],
    ["vendors that are no list", { vendor: undefined, vendors: "stripe" }, /`vendors` must be a list$/],
    ["no vendor in the list", { vendor: undefined, vendors: [] }, /`vendors` must list at least one/],
    ["limits that are no object", { limits: 5 }, /`limits` must be a JSON object$/],
    ["no cap", { usd_cap: undefined }, /the cap is missing; send `usd_cap`/],
    ["parts of a cent", { usd_cap: 499.999 }, /`usd_cap` must be dollars down to whole cents/],
    ["parts of a cent as text", { usd_cap: "0.001" }, /whole cents/],
    ["a negative cap", { usd_cap: -5 }, /whole cents/],
    ["a cap with an exponent", { usd_cap: "5e2" }, /whole cents/],
    ["a cap beyond the limit", { usd_cap: 100_000_001 }, /up to 100000000/],
    ["a cap that is null", { usd_cap: null }, /`usd_cap` must be dollars/],
    ["parts of a cent in the daily cap", { daily_usd_cap: 0.005 }, /`daily_usd_cap`.*whole cents/],
    ["no endpoints", { allowed_endpoints: undefined }, /`allowed_endpoints` is missing; it must be a list$/],
    [
      "a name nearly right, though the right one is missing then",
      { allowed_endpoints: undefined, allowed_endpoint: ["*"] },
      /no field `allowed_endpoint`; did you mean `allowed_endpoints`\?/,
    ],
    ["an endpoint without a text", { allowed_endpoints: [""] }, /`allowed_endpoints\.0` must be 1 to 300 characters/],
    ["an empty list of endpoints", { allowed_endpoints: [] }, /at least one endpoint/],
    [
      "an endpoint nearly right",
      { allowed_endpoints: ["POST /v1/payment_intent"] },
      /nearest are `POST \/v1\/payment_intents`/,
    ],
    [
      "an endpoint of another vendor",
      { allowed_endpoints: ["resend:POST /emails"] },
      /names a vendor that this key is not for; it is for stripe/,
    ],
    ["no lifetime", { expires_in: undefined }, /`expires_in` .*30 days/],
    ["a lifetime of 31 days", { expires_in: "31d" }, /`expires_in` must be a lifetime up to 30 days/],
    ["a lifetime as a number", { expires_in: 7200 }, /`expires_in` must be a lifetime/],
    ["a lifetime of nothing", { expires_in: "0m" }, /lifetime/],
    ["no label", { label: undefined }, /`label` is missing/],
    ["two labels that differ", { agent_run_label: "other" }, /two names of one field/],
    ["a label with a space", { label: "a b" }, /`label` must be 1 to 200/],
    ["a label of 201 characters", { label: "a".repeat(201) }, /`label` must be 1 to 200/],
    ["an unknown field", { usd_capp: 5 }, /no field `usd_capp`; did you mean `usd_cap`\?/],
    ["an unknown field far off", { comment: "hello" }, /no field `comment`; the fields are `vendor`/],
    ["an unknown limit", { limits: { max_call: 5 } }, /no field `limits\.max_call`; did you mean `max_calls`\?/],
    ["a limit of nothing", { limits: { concurrency: 0 } }, /`limits\.concurrency` must be a whole number from 1/],
    ["half a call", { limits: { max_calls: 1.5 } }, /`limits\.max_calls` must be a whole number/],
    ["an account with a slash", { accounts: ["a/b"] }, /`accounts\.0` must be an account's id/],
  ])("to %s", async (_what, more, sentence) => {
    const { status, json } = await post(keyBody("bad", more));
    expect(status).toBe(400);
    expect(json.code).toBe("request_invalid");
    expect(json.message).toMatch(sentence);
    expect((await harness.client.get("/vault/keys")).json.keys).toEqual([]);
  });

  it("to vendors whose bare paths overlap", async () => {
    const body = keyBody("overlap", { vendor: undefined, vendors: ["resend", "other-mail"], allowed_endpoints: ["*"] });
    expect((await post(body)).json.message).toMatch(/resend and other-mail both have the path .*one key for each/);
  });

  it("to a bare endpoint with several vendors", async () => {
    const body = keyBody("bare", {
      vendor: undefined,
      vendors: ["stripe", "resend"],
      allowed_endpoints: ["POST /emails"],
    });
    expect((await post(body)).json.message).toMatch(/write `stripe:POST \/emails`/);
  });
});

describe("GET /vault/keys", () => {
  it("lists keys newest first, by label or execution, without their text", async () => {
    await issueKey(harness, "a", { execution: "exec-1" });
    await issueKey(harness, "b");
    const all = (await harness.client.get("/vault/keys")).json;
    expect((all.keys as { label: string }[]).map(({ label }) => label)).toEqual(["b", "a"]);
    expect(all.next_cursor).toBeNull();
    expect(JSON.stringify(all)).not.toContain("vk_");
    for (const name of ["a", "exec-1"]) {
      const found = (await harness.client.get(`/vault/keys?label=${name}`)).json.keys as { label: string }[];
      expect(found.map(({ label }) => label)).toEqual(["a"]);
    }
  });

  it("pages by a cursor that stays right while keys are added", async () => {
    for (let index = 0; index < 5; index += 1) await issueKey(harness, `k${index}`);
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page = (await harness.client.get(`/vault/keys?limit=2${cursor ? `&cursor=${cursor}` : ""}`)).json;
      seen.push(...(page.keys as { label: string }[]).map(({ label }) => label));
      cursor = page.next_cursor as string | null;
      await issueKey(harness, `new-${seen.length}`);
    } while (cursor !== null);
    expect(seen).toEqual(["k4", "k3", "k2", "k1", "k0"]);
  });

  it.each(["limit=0", "limit=1001", "limit=x", "cursor=nonsense", "labels=a", "label=a&label=b"])(
    "answers 400 to %s",
    async (query) => {
      const { status, json } = await harness.client.get(`/vault/keys?${query}`);
      expect(status).toBe(400);
      expect(json.code).toBe("request_invalid");
    },
  );
});

describe("GET /vault/keys/{key_id}", () => {
  it("answers 200 with what is spent, reserved and available now", async () => {
    const { keyId } = await issueKey(harness, "live");
    await makeCall(harness, keyId, "settled");
    await makeCall(harness, keyId, "unknown");
    await makeCall(harness, keyId, "released");
    await makeCall(harness, keyId, null);
    expect((await harness.client.get(`/vault/keys/${keyId}`)).json).toMatchObject({
      spent_usd: "40.00",
      spent_micros: 40_000_000,
      reserved_usd: "80.00",
      reserved_micros: 80_000_000,
      available_usd: "380.00",
      available_micros: 380_000_000,
      counts: { calls: 4, reserved: 1, settled: 1, released: 1, unknown: 1 },
    });
  });

  it("shows an expired key as expired", async () => {
    const { keyId } = await issueKey(harness, "ends", { expires_in: "5m" });
    harness.clock.time += 300_000;
    expect((await harness.client.get(`/vault/keys/${keyId}`)).json.status).toBe("expired");
  });

  it.each(["nokey", "a".repeat(26), "a".repeat(200), "%41", "..%2f"])("answers 404 for %s", async (id) => {
    const { status, json } = await harness.client.get(`/vault/keys/${id}`);
    expect(status).toBe(404);
    expect(json.code).toBe("not_found");
  });
});

describe("DELETE /vault/keys/{key_id}", () => {
  it("answers 200 with the calls in flight and what they hold, and the same again", async () => {
    const { keyId } = await issueKey(harness, "stop");
    await makeCall(harness, keyId, null);
    await makeCall(harness, keyId, null);
    await makeCall(harness, keyId, "unknown");
    const { status, json } = await harness.client.delete(`/vault/keys/${keyId}?reason=runaway`);
    expect(status).toBe(200);
    expect(json).toMatchObject({
      status: "revoked",
      reason: "runaway",
      in_flight: 2,
      held_usd: "120.00",
      held_micros: 120_000_000,
    });
    const again = await harness.client.delete(`/vault/keys/${keyId}`);
    expect(again.json).toMatchObject({ status: "revoked", reason: "runaway" });
    await expect(makeCall(harness, keyId, "settled")).rejects.toMatchObject({ code: "key_revoked" });
  });

  it("answers 404 for a key that is not there", async () => {
    expect((await harness.client.delete(`/vault/keys/${"b".repeat(26)}`)).status).toBe(404);
  });
});

describe("pause, resume and raise", () => {
  it("answer 200; a paused key takes no call, a resumed one does", async () => {
    const { keyId } = await issueKey(harness, "wait");
    const paused = await harness.client.post(`/vault/keys/${keyId}/pause`, { reason: "looks odd" });
    expect(paused.json).toMatchObject({ status: "paused", reason: "looks odd" });
    await expect(makeCall(harness, keyId, "settled")).rejects.toMatchObject({ code: "key_paused" });
    expect((await harness.client.post(`/vault/keys/${keyId}/resume`)).json).toMatchObject({
      status: "active",
      reason: null,
    });
    await makeCall(harness, keyId, "settled");
  });

  it("raise to a new total, and the same request again changes nothing", async () => {
    const { keyId } = await issueKey(harness, "more");
    for (const usd_cap of ["700.00", 700]) {
      const { status, json } = await harness.client.post(`/vault/keys/${keyId}/raise`, { usd_cap });
      expect(status).toBe(200);
      expect(json.cap_micros).toBe(700_000_000);
    }
    const { records } = (await harness.client.get(`/vault/keys/${keyId}/proof`)).json;
    expect(records).toBe(2);
  });

  it.each<[string, string, unknown, number, string]>([
    ["raise below the cap", "raise", { usd_cap: 499 }, 400, "request_invalid"],
    ["raise by parts of a cent", "raise", { usd_cap: "600.001" }, 400, "request_invalid"],
    ["raise without a body", "raise", undefined, 400, "request_invalid"],
    ["pause with an unknown field", "pause", { why: "x" }, 400, "request_invalid"],
    ["pause with a reason of two lines", "pause", { reason: "a\nb" }, 400, "request_invalid"],
    ["resume with a field", "resume", { reason: "x" }, 400, "request_invalid"],
  ])("refuse to %s", async (_what, act, body, status, code) => {
    const { keyId } = await issueKey(harness, "refuse");
    const answer = await harness.client.post(`/vault/keys/${keyId}/${act}`, body);
    expect([answer.status, answer.json.code]).toEqual([status, code]);
  });

  it("answer 409 call_state when the key is revoked", async () => {
    const { keyId } = await issueKey(harness, "gone");
    await harness.client.delete(`/vault/keys/${keyId}`);
    for (const [act, body] of [
      ["pause", {}],
      ["resume", {}],
      ["raise", { usd_cap: 900 }],
    ] as const) {
      const { status, json } = await harness.client.post(`/vault/keys/${keyId}/${act}`, body);
      expect([status, json.code]).toEqual([409, "call_state"]);
    }
  });

  it("answer 404 for a key that is not there", async () => {
    for (const act of ["pause", "resume"]) {
      expect((await harness.client.post(`/vault/keys/${"c".repeat(26)}/${act}`)).status).toBe(404);
    }
  });
});
