/**
 * Goal: the Trigger.dev example is right in types, and its work is right: a parent that is tried again has one key, its children share one
 * cap, a child that is tried again bills nobody twice, and a spent or stopped run ends instead of being tried again.
 * Method: the whole project is type-checked against the pinned packages of its own package.json. Its functions `issueKey` and
 * `billCustomer` run as they stand against a real proxy with an issuer key, before emulate's Stripe.
 * Limit: Trigger.dev itself is not run: that it tries again, and that it does not after `AbortTaskRunError`, is its documentation's word.
 */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Bill, billCustomer, RunEnded } from "../../examples/trigger-dev/billing/bill-customer.ts";
import { issueKey, KeyRefused, type ProxyAccess } from "../../examples/trigger-dev/billing/issue-key.ts";
import { root } from "../readme/markdown.ts";
import { vendorCount } from "../sdk/scenes.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { packagesOf } from "../support/runtimes.ts";
import { typeCheck } from "../support/type-check.ts";
import { emulatedCustomers, startEmulate } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

const project = join(root, "examples/trigger-dev");
const POLICY = "billing-agent";

let directory: string;
let vendor: VendorServer;
let running: RunningProxy;
let proxy: ProxyAccess;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "keybrake-trigger-dev-"));
  vendor = await startEmulate("stripe");
  const policies = join(directory, "policies.json");
  const budget = {
    ...{ vendors: ["stripe"], allowed_endpoints: ["POST /v1/payment_intents"], usd_cap: "10.00", expires_in: "2h" },
    label_prefix: "trigger.dev/",
  };
  const policy = { version: 1, principal_ids: [], principals: [], issuer_may: ["issue", "read"], budget };
  writeFileSync(policies, JSON.stringify({ [POLICY]: policy }));
  running = await startProxy({ vendors: { stripe: vendor }, env: { KEYBRAKE_POLICIES: policies } });
  const issuer = await running.admin("POST", "/issuers", { policy: POLICY });
  expect(issuer.status).toBe(201);
  proxy = { url: running.url, issuerKey: String(issuer.body.issuer_key) };
}, 60_000);
afterAll(async () => {
  await running?.stop();
  await vendor?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const count = (): Promise<number> => vendorCount("stripe", vendor);
const bill = (vaultKey: string, index: number): Bill => ({
  customerId: emulatedCustomers[index % emulatedCustomers.length]!,
  amountCents: 300 + index,
  vaultKey,
  index,
});

it("type-checks against the packages that it names", async () => {
  const there = join(directory, "project");
  cpSync(project, there, { recursive: true, filter: (path) => !path.endsWith("node_modules") });
  symlinkSync(join(await packagesOf(project), "node_modules"), join(there, "node_modules"));
  expect(await typeCheck(there, "-p", ".")).toBe("");
}, 400_000);

describe("a run", () => {
  it("has one key, however often and at once its parent asks", async () => {
    const keys = await Promise.all(Array.from({ length: 12 }, () => issueKey(proxy, "run_parent", 8)));
    expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(1);
    expect(await issueKey(proxy, "run_other", 8)).not.toEqual(keys[0]);
    expect(await running.key(keys[0]!.keyId)).toMatchObject({
      label: "trigger.dev/billing-agent/run_parent",
      cap_usd: "8.00",
    });
  });

  it("has at most what its policy allows", async () => {
    const { keyId } = await issueKey(proxy, "run_greedy", 500);
    expect(await running.key(keyId)).toMatchObject({ cap_usd: "10.00" });
  });

  it("bills each customer once, though every child is tried again", async () => {
    const { keyId, vaultKey } = await issueKey(proxy, "run_retried", 10);
    const before = await count();
    const attempt = (number: number): Promise<string[]> =>
      Promise.all([0, 1, 2].map((index) => billCustomer(proxy.url, bill(vaultKey, index), number)));
    const first = await attempt(0);
    expect(await attempt(1)).toEqual(first);
    expect(await count()).toBe(before + 3);
    expect(await running.key(keyId)).toMatchObject({ spent_usd: "9.03", reserved_usd: "0.00" });
  });

  it("ends for the children that its cap has no room for", async () => {
    const { vaultKey } = await issueKey(proxy, "run_capped", 10);
    const before = await count();
    const ends = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) => billCustomer(proxy.url, bill(vaultKey, index), 0)),
    );
    const refused = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as Error] : []));
    expect(refused).toHaveLength(5);
    for (const error of refused) expect(error).toBeInstanceOf(RunEnded);
    expect(await count()).toBe(before + 3);
  });

  it("ends for parent and children when it is revoked", async () => {
    const { keyId, vaultKey } = await issueKey(proxy, "run_stopped", 10);
    await running.admin("DELETE", `/vault/keys/${keyId}`);
    await expect(billCustomer(proxy.url, bill(vaultKey, 0), 0)).rejects.toThrow(RunEnded);
    await expect(issueKey(proxy, "run_stopped", 10)).rejects.toThrow(KeyRefused);
  });

  it("is worth another attempt while the proxy is away", async () => {
    const away = { ...proxy, url: "http://127.0.0.1:9" };
    const failure = await issueKey(away, "run_away", 10).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(KeyRefused);
  });
});
