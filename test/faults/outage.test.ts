/**
 * Goal: while Firestore cannot be reached every call is refused as `ledger_unavailable` and nothing is forwarded; the proxy lives,
 * and goes on by itself when Firestore is back. Method: a real `keybrake serve` and a vendor that counts. A hop that refuses
 * connections is an outage that keeps its data; one that swallows all bytes is an outage that nobody is told of; the emulator
 * itself, ended and started again on its port, is the real thing, but it forgets its data. Limit: one machine's loopback.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type CallAnswer, Caller } from "../support/caller.ts";
import { type Emulator, startEmulator } from "../support/emulator.ts";
import { type FaultProxy, startFaultProxy } from "../support/fault-proxy.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { Upstream } from "../support/upstream.ts";

const timeout = 120_000;
/** How long the proxy may take to find out that Firestore is back. */
const BACK_MS = 10_000;

describeOnEmulator("a proxy whose Firestore", (emulator) => {
  const open: { stop(): Promise<unknown> }[] = [];
  const keep = <T extends { stop(): Promise<unknown> }>(started: T): T => {
    open.push(started);
    return started;
  };
  afterEach(async () => {
    for (const each of open.splice(0).reverse()) await each.stop();
  });

  interface World {
    vendor: Upstream;
    proxy: RunningProxy;
    pay: (key: IssuedKey, n: number) => Promise<CallAnswer>;
  }

  async function world(firestore: string): Promise<World> {
    const vendor = keep(await Upstream.start());
    const proxy = keep(
      await startProxy({
        vendors: { stripe: { url: vendor.url, secret: "sk_test_outage_0123456789" } },
        store: { firestore: freshStore(), emulator: firestore },
      }),
    );
    const caller = new Caller(proxy.url, 50);
    const pay = (key: IssuedKey, n: number) =>
      caller.post("/stripe/v1/payment_intents", key.vaultKey, { amount: 4000, currency: "usd", "metadata[n]": n });
    return { vendor, proxy, pay };
  }

  const issue = (proxy: RunningProxy, label: string) =>
    proxy.issue({ vendor: "stripe", usd_cap: "9000.00", allowed_endpoints: ["*"], label });

  async function expectRefused({ vendor, proxy, pay }: World, key: IssuedKey): Promise<void> {
    const before = vendor.received.length;
    const issuing = proxy.admin("POST", "/vault/keys", {
      ...{ vendor: "stripe", usd_cap: "1.00", allowed_endpoints: ["*"], expires_in: "1h", label: "outage/none" },
    });
    const paying = Promise.all(Array.from({ length: 50 }, (_, n) => pay(key, n)));
    expect((await fetch(`${proxy.url}/health`)).status).toBe(200);
    for (const { status, headers } of await paying) {
      expect([status, headers["x-keybrake-code"]]).toEqual([503, "ledger_unavailable"]);
    }
    expect([(await issuing).status, (await issuing).body.code]).toEqual([503, "ledger_unavailable"]);
    expect(vendor.received).toHaveLength(before);
  }

  async function untilBack(run: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + BACK_MS;
    while (!(await run())) {
      if (Date.now() > end) throw new Error("the proxy did not go on");
      await delay(100);
    }
  }

  const harmed: [string, (line: FaultProxy) => Promise<void>, (line: FaultProxy) => Promise<void>][] = [
    ["refuses connections", (line) => line.refuse(), (line) => line.accept()],
    ["has fallen silent", async (line) => line.swallow(true), async (line) => line.swallow(false)],
  ];
  test.each(harmed)(
    "%s: 503 and nothing forwarded; then it goes on, and nothing is lost",
    { timeout },
    async (_, down, up) => {
      const line = keep(await startFaultProxy(emulator.host));
      const all = await world(line.host);
      const { vendor, proxy, pay } = all;
      const key = await issue(proxy, "outage/line");
      const { pid } = proxy;
      for (let n = 0; n < 20; n += 1) expect((await pay(key, n)).status).toBe(200);
      await down(line);
      await expectRefused(all, key);
      await up(line);
      await untilBack(async () => (await pay(key, 100)).status === 200);
      const later = await Promise.all(Array.from({ length: 50 }, (_, n) => pay(key, 200 + n)));
      expect(later.map(({ status }) => status)).toEqual(later.map(() => 200));
      expect(proxy.pid).toBe(pid);
      const books = await ledgerBooks(proxy, key.keyId, "outage/line");
      expect(books.states.settled).toBe(vendor.received.length);
      // A reservation whose answer was lost holds its money until somebody looks; it was never sent.
      expect(Object.keys(books.states).filter((state) => state !== "settled" && state !== "reserved")).toEqual([]);
      expect(books.states.reserved ?? 0).toBeLessThanOrEqual(50);
    },
  );

  test("is ended and started again: 503, nothing forwarded, and the same process goes on", { timeout }, async () => {
    let own: Emulator = keep(await startEmulator());
    const all = await world(own.host);
    const { vendor, proxy, pay } = all;
    const key = await issue(proxy, "outage/ended");
    expect((await pay(key, 1)).status).toBe(200);
    await own.stop();
    await expectRefused(all, key);
    own = keep(await startEmulator(own.port));
    const again = {
      vendor: "stripe",
      usd_cap: "90.00",
      allowed_endpoints: ["*"],
      expires_in: "1h",
      label: "outage/again",
    };
    await untilBack(async () => (await proxy.admin("POST", "/vault/keys", again)).status === 201);
    const fresh = await proxy.issue(again);
    expect((await pay(fresh, 2)).status).toBe(200);
    expect(vendor.received).toHaveLength(2);
    // The new emulator has never heard of the old key: that is no reason to send anything.
    const lost = await pay(key, 3);
    expect([lost.status, lost.headers["x-keybrake-code"]]).toEqual([401, "key_invalid"]);
    expect(vendor.received).toHaveLength(2);
  });
});
