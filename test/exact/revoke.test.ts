/**
 * Goal: nothing whose headers arrive after DELETE's answer is forwarded, reads included, and what was at the vendor before still counts.
 * Method: sockets that fire payments and reads without pause; the test writes, reads DELETE's answer and records what the vendor
 * gets all in one event loop, so that "written after the answer was read" is one order and no guess. Many rounds, since it is a race.
 * Limit: one proxy process; with several on one store the same rests on the store's compare-and-set.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { ledgerBooks } from "../support/ledger-books.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { RawSocket } from "../support/raw-socket.ts";
import { held, json, type Upstream } from "../support/upstream.ts";
import { type Answered, arrived, bytesOf, codeOf, fire, startRecordedVendor } from "./recorded-job.ts";

const timeout = 120_000;
let vendor: Upstream;
let proxy: RunningProxy;
let numbers = 0;
beforeAll(async () => {
  vendor = await startRecordedVendor();
  proxy = await startProxy({ vendors: { stripe: { url: vendor.url, secret: "sk_test_recorded_0123456789" } } });
});
afterAll(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

const issue = (label: string) => proxy.issue({ vendor: "stripe", usd_cap: "9000.00", allowed_endpoints: ["*"], label });

it.each([1, 2, 3, 4, 5, 6])("in round %i of payments and reads under way", { timeout }, async (round) => {
  const label = `revoke/${round}`;
  const key = await issue(label);
  const late = new Set<number>();
  const refused: Answered[] = [];
  let answered = 0;
  let revoked = false;
  let revoking: Promise<void> | null = null;
  const revoke = async (): Promise<void> => {
    const { status } = await proxy.admin("DELETE", `/vault/keys/${key.keyId}`);
    expect(status).toBe(200);
    revoked = true;
  };
  const client = async (index: number): Promise<void> => {
    let mine = 0;
    await fire(
      proxy,
      () => {
        const n = numbers++;
        if (revoked) late.add(n);
        return { n, bytes: bytesOf(index % 2 === 0 ? "pay" : "read", key, n) };
      },
      (last) => {
        if (last) {
          answered += 1;
          if (answered === 40 + round * 7) revoking = revoke();
          if (late.has(last.n)) {
            mine += 1;
            refused.push(last);
          }
        }
        return mine < 5;
      },
    );
  };
  await Promise.all(Array.from({ length: 12 }, (_, index) => client(index)));
  await revoking;

  expect(refused).toHaveLength(60);
  for (const { answer } of refused) expect([answer.status, codeOf(answer)]).toEqual([401, "key_revoked"]);
  expect(arrived(vendor).filter((n) => late.has(n))).toEqual([]);
  const books = await ledgerBooks(proxy, key.keyId, label);
  expect(books.status).toBe("revoked");
  expect(books.calls.length).toBeGreaterThanOrEqual(40);
  expect(books.calls.filter(({ state }) => state !== "settled" && state !== "released")).toEqual([]);
});

it("also for a head whose last byte comes after the answer, and for a body whose head came before", {
  timeout,
}, async () => {
  const key = await issue("revoke/halves");
  const halves = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      const n = numbers++;
      const bytes = bytesOf(index % 4 === 0 ? "read" : "pay", key, n);
      // Before the blank line's last byte, or within the body.
      const cut = index % 2 === 0 ? bytes.indexOf("\r\n\r\n") + 3 : Math.max(bytes.length - 4, 1);
      const socket = await RawSocket.open(proxy.port);
      socket.send(bytes.slice(0, cut));
      return { n, socket, rest: bytes.slice(cut) };
    }),
  );
  expect((await proxy.admin("DELETE", `/vault/keys/${key.keyId}`)).status).toBe(200);
  for (const { socket, rest } of halves) socket.send(rest);
  const answers = await Promise.all(halves.map(({ socket }) => socket.answer()));
  for (const answer of answers) expect([answer?.status, answer && codeOf(answer)]).toEqual([401, "key_revoked"]);
  const ours = new Set(halves.map(({ n }) => n));
  expect(arrived(vendor).filter((n) => ours.has(n))).toEqual([]);
  for (const { socket } of halves) socket.socket.destroy();
});

it("and what is at the vendor by then is told in the answer, ends as it ends there, and is counted", {
  timeout,
}, async () => {
  const label = "revoke/in-flight";
  const key = await issue(label);
  const intent = { id: "pi_held", amount: 300, currency: "usd", status: "succeeded", amount_received: 300 };
  const gates = Array.from({ length: 4 }, () => held(json(200, intent)));
  const before = vendor.received.length;
  vendor.next(...gates.map(({ behaviour }) => behaviour));
  const sockets = await Promise.all(gates.map(() => RawSocket.open(proxy.port)));
  for (const socket of sockets) socket.send(bytesOf("pay", key, numbers++));
  await vendor.whenReceived(before + 4);
  const { status, body } = await proxy.admin("DELETE", `/vault/keys/${key.keyId}`);
  expect([status, body.in_flight, body.reserved_micros]).toEqual([200, 4, 12_000_000]);
  for (const { letGo } of gates) letGo();
  const answers = await Promise.all(sockets.map((socket) => socket.answer()));
  expect(answers.map((answer) => answer?.status)).toEqual([200, 200, 200, 200]);
  const books = await ledgerBooks(proxy, key.keyId, label);
  expect(books.calls.filter(({ state }) => state === "settled")).toHaveLength(4);
  expect(books.reservedMicros).toBe(0);
  for (const socket of sockets) socket.socket.destroy();
});
