/**
 * Goal: what is exported equals the books, costs nothing when it is off, and breaks nothing when nobody takes it.
 * Method: the real service in a process of its own, a vendor on loopback that pays, declines and breaks off, and a receiver of
 * OTLP/HTTP on loopback that gets the last figures when the process drains; then the exporter alone against a receiver that is
 * down, slow or wrong.
 * Limit: the receiver reads OTLP's JSON as its specification has it; no collector of Google's was asked.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { createLogger } from "../../service/log.ts";
import { type ExportedMetrics, openOtlpMetrics } from "../../service/metrics/otlp.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { json, Upstream } from "../support/upstream.ts";
import { recordedModules, recordModules } from "./loaded-modules.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./otlp-receiver.ts";

const main = fileURLToPath(new URL("../../service/main.ts", import.meta.url));
const timeout = 60_000;

let receiver: OtlpReceiver;
beforeEach(async () => {
  receiver = await startOtlpReceiver();
});
afterEach(() => receiver.stop());

describe("a proxy that has an endpoint for metrics", () => {
  let vendor: Upstream;
  let proxy: RunningProxy;
  let directory: string;
  let modules: string;
  beforeEach(async () => {
    vendor = await Upstream.start();
    directory = mkdtempSync(join(tmpdir(), "keybrake-metrics-"));
    modules = join(directory, "modules");
  });
  afterEach(async () => {
    await proxy?.stop();
    await vendor.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const start = async (env: Record<string, string>): Promise<void> => {
    proxy = await startProxy({
      vendors: { stripe: { url: vendor.url, secret: "sk_test_metrics_0123456789" } },
      env,
      entry: () => [...recordModules(modules), main],
    });
  };
  const pay = async (vaultKey: string, cents: number, name: string): Promise<number> => {
    const response = await fetch(`${proxy.url}/stripe/v1/payment_intents`, {
      method: "POST",
      headers: { authorization: `Bearer ${vaultKey}`, "idempotency-key": name },
      body: new URLSearchParams({ amount: String(cents), currency: "usd" }),
    });
    await response.text();
    return response.status;
  };
  const paid = (id: string, cents: number) =>
    json(200, { id, amount: cents, amount_received: cents, currency: "usd", status: "succeeded" });

  it("sends figures that equal its books, the last ones when it drains", { timeout }, async () => {
    await start({ OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url });
    const { keyId, vaultKey } = await proxy.issue({
      vendor: "stripe",
      usd_cap: "20.00",
      allowed_endpoints: ["POST /v1/payment_intents"],
      label: "metrics/books",
    });
    for (const n of [1, 2, 3]) {
      vendor.next(paid(`pi_${n}`, 400));
      expect(await pay(vaultKey, 400, `paid-${n}`)).toBe(200);
    }
    expect(await pay(vaultKey, 400, "paid-1")).toBe(200);
    vendor.next(json(402, { error: { type: "card_error", code: "card_declined" } }));
    expect(await pay(vaultKey, 300, "declined")).toBe(402);
    vendor.next((socket) => socket.destroy());
    expect(await pay(vaultKey, 250, "broken off")).toBe(504);
    expect(await pay(vaultKey, 9_000, "over the cap")).toBe(429);
    const bogus = await fetch(`${proxy.url}/stripe/v1/payment_intents`, { method: "POST" });
    expect(bogus.status).toBe(401);
    const key = await proxy.key(keyId);
    expect(await proxy.terminate()).toBe(0);

    expect(receiver.lastPath).toBe("/v1/metrics");
    expect(receiver.resource["service.name"]).toBe("keybrake");
    const { total } = receiver;
    expect(key).toMatchObject({ spent_micros: 12_000_000, reserved_micros: 2_500_000 });
    expect(total("keybrake.spent_micros")).toBe(key.spent_micros);
    expect(total("keybrake.reserved_micros")).toBe(key.reserved_micros);
    expect(total("keybrake.unknown_micros")).toBe(key.reserved_micros);
    const of = { vendor: "stripe", endpoint: "POST /v1/payment_intents" };
    expect(total("keybrake.calls", { ...of, state: "settled" })).toBe(3);
    expect(total("keybrake.calls", { ...of, state: "repeated" })).toBe(1);
    expect(total("keybrake.calls", { ...of, state: "released" })).toBe(1);
    expect(total("keybrake.calls", { ...of, state: "unknown" })).toBe(1);
    expect(total("keybrake.calls", { ...of, state: "refused" })).toBe(1);
    expect(total("keybrake.calls")).toBe(8);
    expect(total("keybrake.call.duration")).toBe(8);
    expect(total("keybrake.refusals", { code: "cap_exhausted" })).toBe(1);
    expect(total("keybrake.refusals", { code: "key_invalid" })).toBe(1);
    expect(total("keybrake.refusals", { code: "outcome_unknown" })).toBe(1);
    // Each of five calls is reserved and ended, one repeat and one refusal are decided too.
    const intents = receiver.series.filter(({ name }) => name === "keybrake.commit.calls");
    expect(intents.reduce((sum, each) => sum + each.sum, 0)).toBe(5 * 2 + 2);
    expect(total("keybrake.commit.duration")).toBe(total("keybrake.commit.calls"));
    expect(recordedModules(modules).some((url) => url.includes("@opentelemetry/sdk-metrics"))).toBe(true);
    const names = JSON.stringify(receiver.series);
    for (const text of [keyId, vaultKey, "metrics/books", "pi_1"]) expect(names).not.toContain(text);
  });

  it("loads nothing of OpenTelemetry when no endpoint is set", { timeout }, async () => {
    await start({});
    const { vaultKey } = await proxy.issue({
      vendor: "stripe",
      usd_cap: "20.00",
      allowed_endpoints: ["*"],
      label: "metrics/off",
    });
    vendor.next(paid("pi_1", 400));
    expect(await pay(vaultKey, 400, "paid")).toBe(200);
    expect(await proxy.terminate()).toBe(0);
    const loaded = recordedModules(modules);
    expect(loaded.some((url) => url.endsWith("/service/app.ts"))).toBe(true);
    expect(loaded.filter((url) => url.includes("opentelemetry"))).toEqual([]);
    expect(receiver.exports).toBe(0);
  });

  it("serves and exits 0 though nobody takes the figures", { timeout }, async () => {
    receiver.answer = "hang";
    await start({ OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: `${receiver.url}/here` });
    const { keyId, vaultKey } = await proxy.issue({
      vendor: "stripe",
      usd_cap: "20.00",
      allowed_endpoints: ["*"],
      label: "metrics/hang",
    });
    vendor.next(paid("pi_1", 400));
    expect(await pay(vaultKey, 400, "paid")).toBe(200);
    expect(await proxy.key(keyId)).toMatchObject({ spent_micros: 4_000_000, reserved_micros: 0 });
    expect(await proxy.terminate()).toBe(0);
    expect(receiver.lastPath).toBe("/here");
  });
});

describe("the exporter", () => {
  const logs: string[] = [];
  let metrics: ExportedMetrics;
  beforeEach(() => {
    logs.length = 0;
    const log = createLogger({ write: (line: string) => void logs.push(line) });
    metrics = openOtlpMetrics({ url: receiver.url, clock: systemClock, random: systemRandom, log, everyMs: 10 });
  });
  afterEach(() => metrics.close(100));

  const end = (endpoint: string) => metrics.ended({ vendor: "stripe", endpoint, state: "settled", code: null, ms: 1 });
  const exported = (count: number) => expect.poll(() => receiver.exports, { timeout: 20_000 }).toBeGreaterThan(count);

  it("goes on with whole sums when the receiver that failed is back", async () => {
    receiver.answer = 500;
    end("POST /a");
    await expect.poll(() => logs.length, { timeout: 20_000 }).toBe(1);
    expect(JSON.parse(logs[0]!)).toMatchObject({
      severity: "WARNING",
      message: expect.stringMatching(/^metrics could/),
    });
    end("POST /a");
    receiver.answer = 200;
    await exported(0);
    expect(receiver.total("keybrake.calls", { endpoint: "POST /a" })).toBe(2);
  });

  it("has one export on its way at most, however long the receiver takes", async () => {
    receiver.answer = "hang";
    end("POST /a");
    await expect.poll(() => receiver.open, { timeout: 20_000 }).toBe(1);
    for (let turn = 0; turn < 20; turn += 1) await systemClock.delay(10);
    expect(receiver.mostOpen).toBe(1);
    await metrics.close(1);
  });

  it("keeps a bounded number of series, and counts what is beyond it as such", async () => {
    for (let n = 0; n < 5_000; n += 1) end(`POST /${n}`);
    await exported(receiver.exports);
    await exported(receiver.exports);
    const calls = receiver.series.filter(({ name }) => name === "keybrake.calls");
    expect(calls.length).toBeLessThanOrEqual(1_000);
    expect(receiver.total("keybrake.calls")).toBe(5_000);
    expect(receiver.total("keybrake.calls", { "otel.metric.overflow": "true" })).toBeGreaterThanOrEqual(4_000);
  });

  it("tells ups from downs of a settled call's price", async () => {
    const move = { vendor: "twilio", endpoint: "POST /Messages", reservedMicros: 0, unknownMicros: 0 };
    metrics.committed({
      calls: 2,
      ms: 3,
      moves: [
        { ...move, spentMicros: 900 },
        { ...move, spentMicros: -200 },
      ],
    });
    metrics.repeated("conflict");
    metrics.repeated("doubt");
    metrics.uncommitted(7);
    await exported(0);
    await exported(receiver.exports);
    expect(receiver.total("keybrake.spent_micros", { vendor: "twilio" })).toBe(900);
    expect(receiver.total("keybrake.returned_micros", { vendor: "twilio" })).toBe(200);
    expect(receiver.total("keybrake.commit.repeats", { reason: "conflict" })).toBe(1);
    expect(receiver.total("keybrake.commit.repeats", { reason: "doubt" })).toBe(1);
    expect(receiver.total("keybrake.commit.failures")).toBe(1);
  });
});
