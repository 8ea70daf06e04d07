/**
 * Goal: four instances of the proxy on one key are as exact as one: never over the cap of the moment at any look, no call lost or
 * counted twice, none forwarded by any instance after DELETE's answer, every call answered, and no instance starved into 503.
 * Method: four real processes on one emulator, 200 clients on bare sockets that fire without pause, an operator who changes the key
 * through another instance each time, a looker, and a vendor that records in the same event loop in which the operator's answers
 * are read. Limit: one emulator on this machine; Google's Firestore has other latencies, and other ways to fail.
 */
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answered, arrived, bytesOf, codeOf, fire, startRecordedVendor } from "../exact/recorded-job.ts";
import { ledgerBooks } from "../support/ledger-books.ts";
import { describeOnEmulator, freshStore } from "../support/on-emulator.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import type { Upstream } from "../support/upstream.ts";

const CLIENTS = 200;
const PRICE = 3_000_000;
const LABEL = "instances/1";
const timeout = 180_000;

describeOnEmulator("four instances on one key", (emulator) => {
  let vendor: Upstream;
  let proxies: RunningProxy[] = [];
  beforeAll(async () => {
    vendor = await startRecordedVendor();
    const firestore = freshStore();
    const vendors = { stripe: { url: vendor.url, secret: "sk_test_recorded_0123456789" } };
    const start = (more: { adminKey?: string; pepper?: string }) =>
      startProxy({
        vendors,
        ...(more.adminKey && { adminKey: more.adminKey }),
        store: { firestore, emulator: emulator.host, ...(more.pepper && { pepper: more.pepper }) },
      });
    const first = await start({});
    proxies = [first];
    const same = { adminKey: first.adminKey, pepper: first.pepperFile };
    proxies.push(...(await Promise.all([start(same), start(same), start(same)])));
  });
  afterAll(async () => {
    // The first one's directory has the pepper.
    for (const proxy of proxies.reverse()) await proxy.stop();
    await vendor?.stop();
  });

  test("200 clients, a raise, a pause, a resume and a revoke through any of them: exact", { timeout }, async () => {
    const key = await proxies[0]!.issue({
      vendor: "stripe",
      usd_cap: "300.00",
      allowed_endpoints: ["*"],
      label: LABEL,
    });
    const crowd = new Crowd(key, proxies);
    const clients = Promise.all(Array.from({ length: CLIENTS }, (_, index) => crowd.client(index)));
    const act = async (through: number, what: string, body?: unknown): Promise<void> => {
      const answer = await proxies[through]!.admin("POST", `/vault/keys/${key.keyId}/${what}`, body);
      expect([answer.status, what]).toEqual([200, what]);
    };
    const looker = crowd.look();

    await crowd.until(() => crowd.count("cap_exhausted") >= CLIENTS);
    expect(arrived(vendor)).toHaveLength(100);
    await act(1, "raise", { usd_cap: "900.00" });
    await crowd.until(() => vendor.received.length >= 150);
    await act(2, "pause", { reason: "looks odd" });
    crowd.paused = true;
    const refusedBefore = crowd.count("key_paused");
    await crowd.until(() => crowd.count("key_paused") >= refusedBefore + CLIENTS);
    crowd.paused = false;
    await act(3, "resume");
    await act(0, "raise", { usd_cap: "90000.00" });
    await crowd.until(() => vendor.received.length >= 600);
    expect((await proxies[1]!.admin("DELETE", `/vault/keys/${key.keyId}`)).status).toBe(200);
    crowd.revoked = true;
    await clients;
    crowd.over = true;
    await looker;

    const numbers = arrived(vendor);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(numbers.filter((n) => crowd.late.has(n))).toEqual([]);
    expect(numbers.filter((n) => crowd.refusedInPause.has(n))).toEqual([]);
    const paid = crowd.answers.filter(({ answer }) => answer.status === 200).map(({ n }) => n);
    expect(paid.toSorted()).toEqual(numbers.toSorted());
    expect(crowd.count("ledger_unavailable") + crowd.count("overloaded")).toBe(0);
    for (const proxy of proxies) {
      const books = await ledgerBooks(proxy, key.keyId, LABEL);
      expect(books.states).toEqual({ settled: numbers.length });
      expect(books).toMatchObject({ spentMicros: numbers.length * PRICE, reservedMicros: 0, status: "revoked" });
    }
    expect(crowd.looks).toBeGreaterThan(20);
    const byInstance = crowd.paidBy.map((count) => count / (numbers.length / proxies.length));
    expect(Math.min(...byInstance)).toBeGreaterThan(0.05);
  });
});

class Crowd {
  readonly answers: Answered[] = [];
  /** Written after DELETE was answered. */
  readonly late = new Set<number>();
  readonly refusedInPause = new Set<number>();
  readonly paidBy: number[];
  paused = false;
  revoked = false;
  over = false;
  looks = 0;
  #numbers = 0;
  readonly #codes = new Map<string, number>();
  readonly #key: IssuedKey;
  readonly #proxies: readonly RunningProxy[];

  constructor(key: IssuedKey, proxies: readonly RunningProxy[]) {
    this.#key = key;
    this.#proxies = proxies;
    this.paidBy = proxies.map(() => 0);
  }

  count(code: string): number {
    return this.#codes.get(code) ?? 0;
  }

  async until(met: () => boolean): Promise<void> {
    while (!met()) await delay(2);
  }

  async client(index: number): Promise<void> {
    const at = index % this.#proxies.length;
    let begunInPause = false;
    let refused = 0;
    await fire(
      this.#proxies[at]!,
      () => {
        const n = this.#numbers++;
        if (this.revoked) this.late.add(n);
        begunInPause = this.paused;
        return { n, bytes: bytesOf("pay", this.#key, n) };
      },
      async (last) => {
        if (!last) return true;
        this.answers.push(last);
        const code = codeOf(last.answer);
        if (code === undefined) {
          this.paidBy[at]! += 1;
          return true;
        }
        this.#codes.set(code, this.count(code) + 1);
        if (begunInPause && code === "key_paused") this.refusedInPause.add(last.n);
        if (this.late.has(last.n)) {
          refused += 1;
          expect([last.answer.status, code]).toEqual([401, "key_revoked"]);
        }
        await delay(100);
        return refused < 3;
      },
    );
  }

  /** Asks one instance after the other. */
  async look(): Promise<void> {
    for (; !this.over; this.looks += 1) {
      const proxy = this.#proxies[this.looks % this.#proxies.length]!;
      const { spent_micros, reserved_micros, cap_micros } = await proxy.key(this.#key.keyId);
      expect(Number(spent_micros) + Number(reserved_micros)).toBeLessThanOrEqual(Number(cap_micros));
      await delay(20);
    }
  }
}
