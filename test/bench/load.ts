/** The load: a closed loop for throughput, an open loop at a fixed rate for latency. */
import { randomUUID } from "node:crypto";
import { performance } from "node:perf_hooks";
import { Connection } from "./connection.ts";

/** Makes the request of a client's next call. Every call is another one: another customer, another random idempotency key. */
export type MakeRequest = (client: number) => string;

export interface LoadResult {
  calls: number;
  seconds: number;
  /** Calls that were not answered 200, and the first such answer. */
  failures: number;
  firstFailure: string | null;
  /** ms, unsorted. */
  latencies: number[];
}

let customers = 0;

/** What stripe-node sends for a payment of one customer, with the vault key and the task's context where its secret goes. */
export function paymentRequest(url: URL, credential: string): MakeRequest {
  const head = `POST /stripe/v1/payment_intents HTTP/1.1\r\nHost: ${url.host}\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\nUser-Agent: Stripe/v1 NodeBindings/23.1.0\r\nStripe-Version: 2026-06-24.basil\r\nAuthorization: Bearer ${credential}`;
  return (client) => {
    customers += 1;
    const body = `amount=4000&currency=usd&customer=cus_${String(customers).padStart(14, "0")}&confirm=true&payment_method=pm_card_visa&description=Nightly%20billing`;
    return `${head}~${client}~0\r\nIdempotency-Key: stripe-node-retry-${randomUUID()}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  };
}

function note(result: LoadResult, status: number, body: () => string): void {
  if (status === 200) return;
  result.failures += 1;
  result.firstFailure ??= status === 0 ? "the connection was closed" : `${status} ${body().slice(0, 300)}`;
}

const emptyResult = (): LoadResult => ({ calls: 0, seconds: 0, failures: 0, firstFailure: null, latencies: [] });

async function openAll(url: URL, clients: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: clients }, () => Connection.open(url)));
}

/**
 * Each client sends its next call as soon as it has the answer of its last. Stops after `seconds` or `calls`; what has no answer
 * `patienceSeconds` later is given up and counts as failed (default: never).
 */
export async function closedLoop(
  url: URL,
  clients: number,
  make: MakeRequest,
  until: { seconds: number; patienceSeconds?: number } | { calls: number },
): Promise<LoadResult> {
  const result = emptyResult();
  const connections = await openAll(url, clients);
  const start = performance.now();
  const deadline = "seconds" in until ? start + until.seconds * 1000 : Number.POSITIVE_INFINITY;
  const most = "calls" in until ? until.calls : Number.POSITIVE_INFINITY;
  const patience =
    "seconds" in until && until.patienceSeconds !== undefined ? until.seconds + until.patienceSeconds : null;
  const impatience =
    patience === null
      ? undefined
      : setTimeout(() => {
          for (const connection of connections) connection.close();
        }, patience * 1000);
  let begun = 0;
  await Promise.all(
    connections.map(
      (connection, client) =>
        new Promise<void>((resolve) => {
          const next = (): void => {
            if (begun >= most || performance.now() >= deadline) {
              resolve();
              return;
            }
            begun += 1;
            connection.send(make(client), (status, body) => {
              result.calls += 1;
              note(result, status, body);
              if (status === 0) resolve();
              else next();
            });
          };
          next();
        }),
    ),
  );
  clearTimeout(impatience);
  result.seconds = (performance.now() - start) / 1000;
  for (const connection of connections) connection.close();
  return result;
}

/**
 * One call every 1/rate seconds, whatever became of those before. A latency counts from the moment at which the call was
 * due, so that a stall is charged to every call it delayed (no coordinated omission).
 */
export async function openLoop(
  url: URL,
  clients: number,
  make: MakeRequest,
  rate: number,
  seconds: number,
  stop?: AbortSignal,
): Promise<LoadResult> {
  const result = emptyResult();
  const connections = await openAll(url, clients);
  const idle = connections.map((_, client) => client);
  const waiting: number[] = [];
  let total = Math.round(rate * seconds);
  const start = performance.now();
  let sent = 0;
  await new Promise<void>((resolve) => {
    const dispatch = (due: number, client: number): void =>
      connections[client]!.send(make(client), (status, body) => {
        result.calls += 1;
        result.latencies.push(performance.now() - due);
        note(result, status, body);
        const overdue = waiting.shift();
        if (overdue !== undefined && status !== 0) dispatch(overdue, client);
        else idle.unshift(client);
        if (result.calls >= total) resolve();
      });
    const tick = (): void => {
      if (stop?.aborted) total = sent;
      if (result.calls >= total) {
        resolve();
        return;
      }
      for (; sent < total && start + (sent * 1000) / rate <= performance.now(); sent += 1) {
        const due = start + (sent * 1000) / rate;
        const client = idle.pop();
        if (client === undefined) waiting.push(due);
        else dispatch(due, client);
      }
      if (sent < total) setTimeout(tick, Math.max(0, start + (sent * 1000) / rate - performance.now()));
    };
    tick();
  });
  result.seconds = (performance.now() - start) / 1000;
  for (const connection of connections) connection.close();
  return result;
}
