/**
 * Goal: raise, pause and resume while calls are under way are exact: no call beyond the cap of its moment, none while paused, and
 * the new cap is used to its last call.
 * Method: 20 clients that never stop asking, an operator who changes the key in between, and a vendor that records what it gets in
 * the same event loop in which the operator's answers are read.
 * Limit: one proxy process.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ledgerBooks } from "../support/ledger-books.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import type { Upstream } from "../support/upstream.ts";
import { type Answered, arrived, bytesOf, codeOf, fire, startRecordedVendor } from "./recorded-job.ts";

const CLIENTS = 20;
let vendor: Upstream;
let proxy: RunningProxy;
beforeAll(async () => {
  vendor = await startRecordedVendor();
  proxy = await startProxy({ vendors: { stripe: { url: vendor.url, secret: "sk_test_recorded_0123456789" } } });
});
afterAll(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

it("a cap that is raised twice, with a pause in between, ends at exactly its last total", {
  timeout: 120_000,
}, async () => {
  const label = "changes/1";
  const key = await proxy.issue({ vendor: "stripe", usd_cap: "10.00", allowed_endpoints: ["*"], label });
  const at = `/vault/keys/${key.keyId}`;
  const answers: Answered[] = [];
  /** Written after the pause was answered and before the resume was asked. */
  const inPause = new Set<number>();
  /** Of those, answered before the resume was asked. */
  const answeredInPause: Answered[] = [];
  let paused = false;
  let over = false;
  let numbers = 0;
  const codes = (code: string, since: number) => answers.slice(since).filter(({ answer }) => codeOf(answer) === code);
  const until = async (met: () => boolean): Promise<void> => {
    while (!met()) await delay(2);
  };
  const client = async (): Promise<void> => {
    let capHits = 0;
    await fire(
      proxy,
      () => {
        const n = numbers++;
        if (paused) inPause.add(n);
        return { n, bytes: bytesOf("pay", key, n) };
      },
      async (last) => {
        if (!last) return true;
        answers.push(last);
        if (paused && inPause.has(last.n)) answeredInPause.push(last);
        if (last.answer.status !== 200) await delay(5);
        if (over && codeOf(last.answer) === "cap_exhausted") capHits += 1;
        return capHits < 3;
      },
    );
  };
  const clients = Promise.all(Array.from({ length: CLIENTS }, client));

  const operator = async (): Promise<void> => {
    await until(() => codes("cap_exhausted", 0).length >= CLIENTS);
    expect(vendor.received).toHaveLength(3);

    expect((await proxy.admin("POST", `${at}/raise`, { usd_cap: "31.00" })).body.cap_micros).toBe(31_000_000);
    const first = answers.length;
    await until(() => codes("cap_exhausted", first).length >= 2 * CLIENTS);
    expect(vendor.received).toHaveLength(10);
    expect((await proxy.admin("POST", `${at}/raise`, { usd_cap: "31.00" })).status).toBe(200);
    expect((await proxy.admin("POST", `${at}/raise`, { usd_cap: "30.99" })).status).toBe(400);

    expect((await proxy.admin("POST", `${at}/raise`, { usd_cap: "400.00" })).status).toBe(200);
    await vendor.whenReceived(20);
    expect((await proxy.admin("POST", `${at}/pause`, { reason: "looks odd" })).body.status).toBe("paused");
    paused = true;
    const second = answers.length;
    await until(() => codes("key_paused", second).length >= 3 * CLIENTS);
    paused = false;
    expect((await proxy.admin("POST", `${at}/resume`)).body.status).toBe("active");
    over = true;
  };
  await Promise.all([clients, operator()]);

  expect(vendor.received).toHaveLength(133);
  expect(answers.filter(({ answer }) => answer.status === 200)).toHaveLength(133);
  const refusals = answers.filter(({ answer }) => answer.status !== 200).map(({ answer }) => codeOf(answer));
  expect(new Set(refusals)).toEqual(new Set(["cap_exhausted", "key_paused"]));
  expect(answeredInPause.length).toBeGreaterThanOrEqual(2 * CLIENTS);
  expect(new Set(answeredInPause.map(({ answer }) => codeOf(answer)))).toEqual(new Set(["key_paused"]));
  const refusedInPause = new Set(answeredInPause.map(({ n }) => n));
  expect(arrived(vendor).filter((n) => refusedInPause.has(n))).toEqual([]);

  const books = await ledgerBooks(proxy, key.keyId, label);
  expect(books).toMatchObject({ capMicros: 400_000_000, spentMicros: 399_000_000, reservedMicros: 0 });
  expect(books.states.settled).toBe(133);
  expect(vendor.received).toHaveLength(133);
  // What was reserved when the pause came, and not yet sent, is given back unsent.
  const others = books.calls.filter(({ state }) => state !== "settled");
  expect(
    others.filter(({ state, code, status }) => state !== "released" || code !== "key_paused" || status !== null),
  ).toEqual([]);
});

it("a proxy that is killed while the cap is used and raised still ends at exactly the last total", {
  timeout: 120_000,
}, async () => {
  const label = "changes/killed";
  const before = vendor.received.length;
  const key = await proxy.issue({ vendor: "stripe", usd_cap: "30.00", allowed_endpoints: ["*"], label });
  const drain = () =>
    Promise.all(
      Array.from({ length: CLIENTS }, () =>
        fire(
          proxy,
          () => {
            const n = 10_000 + vendor.received.length * 100 + Math.floor(Math.random() * 1e9);
            return { n, bytes: bytesOf("pay", key, n) };
          },
          (last) => last === null || last.answer.status === 200,
        ),
      ),
    );
  await drain();
  expect(vendor.received.length - before).toBe(10);
  await proxy.admin("POST", `/vault/keys/${key.keyId}/raise`, { usd_cap: "60.00" });
  await proxy.restart();
  await drain();
  expect(vendor.received.length - before).toBe(20);
  expect((await ledgerBooks(proxy, key.keyId, label)).spentMicros).toBe(60_000_000);
});
