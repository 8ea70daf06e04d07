/**
 * Goal: SIGTERM under load ends the process with exit code 0 and keeps every outcome: what was answered stays answered, what was
 * still at the vendor is unknown, clients get whole answers or a closed connection, and nothing reaches the vendor that the ledger
 * does not have.
 * Method: the real entry in a process of its own over a SQLite file, 32 clients on raw sockets that go on until their connection
 * ends, a vendor that answers after a moment and keeps some calls for ever; then a start on the same file.
 * Limit: the process ends itself within 9.5 s, or exits 1; a test that kills it after 10 s would see no exit code at all.
 */
import { afterEach, beforeEach, expect, it } from "vitest";
import { ledgerBooks } from "../support/ledger-books.ts";
import { type IssuedKey, type RunningProxy, startProxy } from "../support/proxy.ts";
import { type RawAnswer, RawSocket } from "../support/raw-socket.ts";
import { json, Upstream } from "../support/upstream.ts";

const timeout = 120_000;
const CLIENTS = 32;
const CENTS = 300;
const MICROS = 3_000_000;

let vendor: Upstream;
let proxy: RunningProxy;
beforeEach(async () => {
  vendor = await Upstream.start();
  proxy = await startProxy({ vendors: { stripe: { url: vendor.url, secret: "sk_test_sigterm_0123456789" } } });
});
afterEach(async () => {
  await proxy?.stop();
  await vendor?.stop();
});

/** The vendor's idempotency key is the call's id and generation. */
const callIds = (): string[] =>
  vendor.received.map(({ headers }) => headers.get("idempotency-key")!.replace(/-\d+$/, ""));

/** Payments that are marked to be held are never answered, all others after a few turns of the event loop. */
function answerLater(): void {
  vendor.otherwise = (socket, received) => {
    const n = new URLSearchParams(received.body).get("metadata[n]");
    if (received.body.includes("hold")) return;
    const intent = { id: `pi_${n}`, amount: CENTS, currency: "usd", status: "succeeded", amount_received: CENTS };
    setTimeout(() => json(200, intent)(socket, received), 15);
  };
}

function payment({ vaultKey }: IssuedKey, n: number, hold: boolean): string {
  const body = `amount=${CENTS}&currency=usd&metadata%5Bn%5D=${n}${hold ? "&description=hold" : ""}`;
  return [
    "POST /stripe/v1/payment_intents HTTP/1.1",
    `host: p\r\nauthorization: Bearer ${vaultKey}`,
    `content-type: application/x-www-form-urlencoded\r\ncontent-length: ${body.length}`,
    `\r\n${body}`,
  ].join("\r\n");
}

const issue = (label: string): Promise<IssuedKey> =>
  proxy.issue({ vendor: "stripe", usd_cap: "90000.00", allowed_endpoints: ["*"], label });

/** @returns answers in the order in which they were read; ends with the connection. */
async function fireUntilClosed(next: () => string, onAnswer: () => void): Promise<RawAnswer[]> {
  const answers: RawAnswer[] = [];
  const client = await RawSocket.open(proxy.port);
  while (!client.closed) {
    client.send(next());
    const answer = await client.answer();
    if (!answer) break;
    answers.push(answer);
    onAnswer();
  }
  return answers;
}

function expectWellFormed(answer: RawAnswer): void {
  expect(answer.whole).toBe(true);
  const body = JSON.parse(answer.body.toString("utf8")) as Record<string, unknown>;
  if (answer.status === 200) expect(body.id).toMatch(/^pi_\d+$/);
  else expect([answer.status, body.code]).toEqual([503, "overloaded"]);
}

it("under load exits 0 and keeps every outcome that was answered", { timeout }, async () => {
  const label = "sigterm/load";
  const key = await issue(label);
  answerLater();
  let n = 0;
  let answered = 0;
  let exit: Promise<number | null> | null = null;
  const onAnswer = (): void => {
    answered += 1;
    if (answered === 300) exit = proxy.terminate();
  };
  const clients = Array.from({ length: CLIENTS }, () => fireUntilClosed(() => payment(key, n++, false), onAnswer));
  const answers = (await Promise.all(clients)).flat();
  expect(await exit).toBe(0);
  for (const answer of answers) expectWellFormed(answer);
  const paid = answers.filter(({ status }) => status === 200).map(({ body }) => JSON.parse(String(body)).id as string);
  expect(paid.length).toBeGreaterThanOrEqual(300);
  const atVendor = vendor.received.length;

  await proxy.restart();
  const books = await ledgerBooks(proxy, key.keyId, label);
  expect(books.calls.map(({ object_id }) => object_id)).toEqual(expect.arrayContaining(paid));
  expect(books.calls.map(({ call_id }) => call_id).sort()).toEqual(callIds().sort());
  // All of them were let finish: nothing was held for ever.
  expect(books).toMatchObject({ states: { settled: atVendor }, spentMicros: atVendor * MICROS, reservedMicros: 0 });
  expect(vendor.received).toHaveLength(atVendor);
});

it("with calls that the vendor never answers exits 0 all the same, and they are unknown", { timeout }, async () => {
  const label = "sigterm/held";
  const key = await issue(label);
  answerLater();
  const held = await Promise.all(Array.from({ length: 5 }, () => RawSocket.open(proxy.port)));
  for (const [n, socket] of held.entries()) socket.send(payment(key, n, true));
  await vendor.whenReceived(5);
  const quick = await RawSocket.open(proxy.port);
  quick.send(payment(key, 5, false));
  expect((await quick.answer())?.status).toBe(200);

  expect(await proxy.terminate()).toBe(0);
  for (const socket of held) expect((await socket.untilClosed()).length).toBe(0);

  await proxy.restart();
  const books = await ledgerBooks(proxy, key.keyId, label);
  expect(books).toMatchObject({
    states: { unknown: 5, settled: 1 },
    spentMicros: MICROS,
    reservedMicros: 5 * MICROS,
  });
  expect(books.calls.filter(({ state }) => state === "unknown").map(({ code }) => code)).toEqual(
    Array.from({ length: 5 }, () => "shutdown"),
  );
  expect(vendor.received).toHaveLength(6);
});

it("refuses what comes on a kept connection while it drains, and nothing of that reaches the vendor", {
  timeout,
}, async () => {
  const key = await issue("sigterm/drain");
  answerLater();
  const [holder, keeper] = await Promise.all([RawSocket.open(proxy.port), RawSocket.open(proxy.port)]);
  keeper.send(payment(key, 0, false));
  expect((await keeper.answer())?.status).toBe(200);
  holder.send(payment(key, 1, true));
  // Begun before the signal, so that the connection is no idle one.
  const late = payment(key, 2, false);
  keeper.send(late.slice(0, 40));
  await vendor.whenReceived(2);
  const exit = proxy.terminate();
  while (!proxy.logs().some((line) => line.includes('"draining"')))
    await new Promise((resolve) => setTimeout(resolve, 5));
  keeper.send(late.slice(40));
  const answer = await keeper.answer();
  if (answer) {
    expect([answer.status, answer.headers.get("x-keybrake-code")]).toEqual([503, "overloaded"]);
    expect(answer.headers.get("connection")).toBe("close");
  }
  expect(await exit).toBe(0);
  expect(vendor.received).toHaveLength(2);
});
