/**
 * Goal: what the service logs is what Cloud Logging and Error Reporting read: their fields, the trace of the request, one line per
 * request of the control plane, and no credential in any of them.
 * Method: the fields by table; the logger on its own; the control plane in this process; the whole service as a process.
 * Limit: the fields are those of Google's pages; no line was read by Google's agent.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, test } from "vitest";
import { createLogger } from "../../service/log.ts";
import { traceFields } from "../../service/trace.ts";
import { loadVendors } from "../../service/vendors/index.ts";
import { ADMIN_KEY, type Harness, issueKey, startControl } from "../control/harness.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { Upstream } from "../support/upstream.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";
const PARENT = `00-${TRACE}-${SPAN}-01`;

type Line = Record<string, unknown>;
const linesOf = (texts: readonly string[]): Line[] =>
  texts.filter((text) => text.startsWith("{")).map((text) => JSON.parse(text) as Line);

describe("the trace of a request", () => {
  const project = "my-project";
  const named = `projects/${project}/traces/${TRACE}`;
  const none = { traceparent: undefined, cloudTrace: undefined };
  const key = (name: string) => `logging.googleapis.com/${name}`;

  test("is taken from traceparent, with the span in hexadecimal and whether it is sampled", () => {
    expect(traceFields({ ...none, traceparent: PARENT }, project)).toEqual({
      [key("trace")]: named,
      [key("spanId")]: SPAN,
      [key("trace_sampled")]: true,
    });
    expect(traceFields({ ...none, traceparent: `00-${TRACE}-${SPAN}-00` }, project)).toEqual({
      [key("trace")]: named,
      [key("spanId")]: SPAN,
    });
  });
  test("is taken from X-Cloud-Trace-Context when there is no readable traceparent, its decimal span turned", () => {
    const cloudTrace = `${TRACE}/${BigInt(`0x${SPAN}`)};o=1`;
    for (const traceparent of [undefined, "", "00-xyz", `ff-${TRACE}-${SPAN}-01`, `${PARENT}-more`]) {
      expect(traceFields({ traceparent, cloudTrace }, project)).toEqual({
        [key("trace")]: named,
        [key("spanId")]: SPAN,
        [key("trace_sampled")]: true,
      });
    }
    expect(traceFields({ ...none, cloudTrace: TRACE }, project)).toEqual({ [key("trace")]: named });
    expect(traceFields({ ...none, cloudTrace: `${TRACE}/99999999999999999999` }, project)).toEqual({
      [key("trace")]: named,
    });
  });
  test("is its bare id without a project", () => {
    expect(traceFields({ ...none, cloudTrace: TRACE }, null)).toEqual({ [key("trace")]: TRACE });
  });
  test.each([
    { traceparent: `00-${"0".repeat(32)}-${SPAN}-01` },
    { traceparent: `00-${TRACE}-${"0".repeat(16)}-01` },
    { traceparent: `00-${TRACE.toUpperCase()}-${SPAN}-01` },
    { cloudTrace: `${TRACE}/12;o=x` },
    { cloudTrace: `${TRACE}\n` },
    { cloudTrace: "0".repeat(32) },
    {},
  ])("is left out when nothing readable names it: %j", (headers) => {
    expect(traceFields({ ...none, ...headers }, project)).toEqual({});
  });
});

describe("an error", () => {
  const logged = (error: unknown): Line => {
    const texts: string[] = [];
    createLogger({ write: (text) => void texts.push(text) }).error({ err: error, call_id: "c1" }, "it failed");
    return linesOf(texts)[0]!;
  };

  test("has severity, message, time, and the stack that Error Reporting groups by, causes included", () => {
    const line = logged(new TypeError("outer", { cause: new RangeError("inner") }));
    expect(line).toMatchObject({ severity: "ERROR", message: "it failed", call_id: "c1" });
    expect(new Date(String(line.time)).toISOString()).toBe(line.time);
    expect(line.stack_trace).toMatch(/^TypeError: outer\n {4}at .*\n[\s\S]*Caused by: RangeError: inner\n {4}at /);
    expect(line.err).toEqual({ type: "TypeError", message: "outer" });
  });
  test("shows nothing else that a library hung on it", () => {
    const error = Object.assign(new Error("14 UNAVAILABLE"), {
      code: 14,
      config: { headers: { authorization: "Bearer ya29.token" } },
    });
    const line = logged(error);
    expect(line.err).toEqual({ type: "Error", message: "14 UNAVAILABLE", code: 14 });
    expect(JSON.stringify(line)).not.toContain("ya29");
  });
  test("is bounded, whatever it is", () => {
    const error = new Error("deep");
    error.stack = "x".repeat(100_000);
    error.cause = error;
    expect(JSON.stringify(logged(error)).length).toBeLessThan(10_000);
    expect(logged("a text").err).toEqual({ message: "a text" });
  });
});

/** As the proxy makes an admin key, and as Stripe makes one. */
const MADE_KEY = `kba_${"b".repeat(43)}`;
const STRIPE_KEY = `sk_live_${"c".repeat(24)}`;

const stripe = loadVendors({ now: Date.now }).get("stripe")!;

describe("the control plane", () => {
  let harness: Harness;
  beforeEach(async () => {
    harness = await startControl([stripe], { traceProject: "my-project" });
  });
  afterEach(() => harness.close());

  /** The next line after what was logged before. */
  async function lineOf(request: () => Promise<unknown>): Promise<Line> {
    const before = harness.logged.length;
    const controlLines = () => linesOf(harness.logged.slice(before)).filter(({ message }) => message === "control");
    await request();
    await expect.poll(() => controlLines().length).toBe(1);
    return controlLines()[0]!;
  }

  it("writes one line per request: who, what, which key, how it ended", async () => {
    let keyId = "";
    const issued = await lineOf(async () => {
      keyId = (await issueKey(harness, "nightly-1")).keyId;
    });
    expect(issued).toMatchObject({
      severity: "INFO",
      endpoint: "POST /vault/keys",
      method: "POST",
      principal: "admin key",
      status: 201,
      "logging.googleapis.com/labels": { key_id: keyId },
    });
    expect(issued.duration_ms).toEqual(expect.any(Number));
    const shown = await lineOf(() => harness.client.get(`/vault/keys/${keyId}`));
    expect(shown).toMatchObject({ endpoint: "GET /vault/keys/{key_id}", status: 200 });
    expect(shown["logging.googleapis.com/labels"]).toEqual({ key_id: keyId });
  });

  it("writes the code of a refusal, and of an unknown route or caller no more than is known", async () => {
    const anonymous = await lineOf(() => harness.anonymous.get("/vault/keys"));
    expect(anonymous).toMatchObject({ code: "unauthenticated", status: 401, method: "GET" });
    expect(anonymous).not.toHaveProperty("principal");
    const lost = await lineOf(() => harness.client.get("/vault/nothing-here"));
    expect(lost).toMatchObject({ code: "not_found", status: 404, principal: "admin key" });
    expect(lost).not.toHaveProperty("endpoint");
  });

  it("names the key that a refusal is about", async () => {
    const { keyId } = await issueKey(harness, "nightly-1");
    const line = await lineOf(() => harness.client.post(`/vault/keys/${keyId}/raise`, { usd_cap: "1.00" }));
    expect(line).toMatchObject({ endpoint: "POST /vault/keys/{key_id}/raise", code: "request_invalid" });
    expect(line["logging.googleapis.com/labels"]).toEqual({ key_id: keyId });
  });

  it("joins the line to the request's trace", async () => {
    const line = await lineOf(() =>
      fetch(`${harness.url}/vault/keys`, { headers: { authorization: `Bearer ${ADMIN_KEY}`, traceparent: PARENT } }),
    );
    expect(line["logging.googleapis.com/trace"]).toBe(`projects/my-project/traces/${TRACE}`);
    expect(line["logging.googleapis.com/spanId"]).toBe(SPAN);
  });

  it("warns of its own failures", async () => {
    const failing = await startControl([], {
      authenticate: [() => Promise.reject(new Error("store is gone"))],
    });
    await failing.client.get("/vault/keys");
    await expect.poll(() => failing.logged.some((text) => text.includes('"control"'))).toBe(true);
    const [error, line] = linesOf(failing.logged);
    expect(error).toMatchObject({ severity: "ERROR", stack_trace: expect.stringContaining("store is gone") });
    expect(line).toMatchObject({ severity: "WARNING", status: 503, code: "ledger_unavailable" });
    await failing.close();
  });

  it("does not fill the log with what asks whether it lives", async () => {
    await harness.anonymous.get("/health");
    await lineOf(() => harness.client.get("/vault/keys"));
    expect(harness.logged.join("")).not.toContain("/health");
  });

  it("repeats no credential, wherever a caller wrote it", async () => {
    const { vaultKey } = await issueKey(harness, "nightly-2");
    const get = (path: string) => lineOf(() => harness.client.get(path));
    await get(`/vault/keys/${vaultKey}`);
    await get(`/calls/${vaultKey}`);
    await get(`/vault/keys/${ADMIN_KEY}`);
    await get(`/calls/${MADE_KEY}`);
    await lineOf(() => harness.client.post(`/jobs/${STRIPE_KEY}/executions`, {}));
    await get(`/calls/${"x".repeat(5_000)}%0A%1b[31m`);
    await get(`/audit?label=${ADMIN_KEY}`);
    await get(`/${ADMIN_KEY}`);
    await lineOf(() => harness.client.post("/vault/keys", { label: vaultKey, usd_cap: ADMIN_KEY }));
    await lineOf(() => fetch(`${harness.url}/vault/keys`, { headers: { authorization: `Bearer ${vaultKey}` } }));
    expect(harness.logged.length).toBeGreaterThan(6);
    for (const secret of [vaultKey, ADMIN_KEY, MADE_KEY, STRIPE_KEY]) {
      expect(harness.logged.join("")).not.toContain(secret);
    }
    expect(Math.max(...harness.logged.map(({ length }) => length))).toBeLessThan(2_000);
  });
});

describe("the service as a process", () => {
  let vendor: Upstream;
  let proxy: RunningProxy;
  beforeAll(async () => {
    vendor = await Upstream.start();
    proxy = await startProxy({
      vendors: { stripe: { url: vendor.url, secret: "sk_test_logs_0123456789" } },
      env: { GOOGLE_CLOUD_PROJECT: "my-project" },
    });
  });
  afterAll(async () => {
    await proxy?.stop();
    await vendor?.stop();
  });

  it("writes every line as JSON with severity, message and time, and joins calls to their trace", async () => {
    const { keyId, vaultKey } = await proxy.issue({
      vendor: "stripe",
      usd_cap: "100.00",
      allowed_endpoints: ["*"],
      label: "nightly-1",
    });
    const response = await fetch(`${proxy.url}/stripe/v1/payment_intents`, {
      method: "POST",
      headers: { authorization: `Bearer ${vaultKey}`, "x-cloud-trace-context": `${TRACE}/255;o=1` },
      body: new URLSearchParams({ amount: "4000", currency: "usd" }),
    });
    expect(response.status).toBe(200);
    expect(await proxy.terminate()).toBe(0);
    const lines = linesOf(proxy.logs());
    expect(lines).toHaveLength(proxy.logs().length);
    for (const line of lines) {
      expect(line).toMatchObject({
        severity: expect.stringMatching(/^(?:INFO|WARNING)$/),
        message: expect.any(String),
        time: expect.stringMatching(/^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/),
      });
    }
    const call = lines.find(({ message }) => message === "call");
    expect(call).toMatchObject({
      state: "settled",
      status: 200,
      cost_micros: 40_000_000,
      "logging.googleapis.com/trace": `projects/my-project/traces/${TRACE}`,
      "logging.googleapis.com/spanId": "00000000000000ff",
      "logging.googleapis.com/trace_sampled": true,
      "logging.googleapis.com/labels": { key_id: keyId, label: "nightly-1", vendor: "stripe" },
    });
    expect(lines.find(({ message }) => message === "control")).toMatchObject({
      endpoint: "POST /vault/keys",
      status: 201,
    });
  });
});
