/**
 * A control plane that says what a test wants: for the client's behaviour towards answers that no healthy proxy gives, and for
 * looking at the requests that the command line sends.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface SeenRequest {
  method: string;
  /** Path and query. */
  target: string;
  authorization: string | undefined;
  accept: string | undefined;
  body: string;
}

export interface LoopbackControl {
  url: string;
  seen: SeenRequest[];
  stop(): Promise<void>;
}

export const ADMIN_KEY = "kba_test_0123456789_0123456789_0123456789";

export async function startLoopbackControl(
  answer: (request: SeenRequest, response: ServerResponse) => void,
): Promise<LoopbackControl> {
  const seen: SeenRequest[] = [];
  const server = createServer(async (request, response) => {
    const { authorization, accept } = request.headers;
    const one = {
      method: request.method ?? "",
      target: request.url ?? "",
      authorization,
      accept,
      body: await text(request),
    };
    seen.push(one);
    answer(one, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function answerJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

/** A row as `GET /audit` answers it. */
export function auditRow(number: number, fields: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    call_id: `c${number}`,
    key_id: "k".repeat(26),
    label: "billing-1",
    vendor: "stripe",
    endpoint: "POST /v1/payment_intents",
    state: "settled",
    code: null,
    status: 200,
    object_id: `pi_${number}`,
    currency: "usd",
    amount_minor: 4000,
    cost_usd: "40.00",
    cost_micros: 40_000_000,
    quote_usd: "40.00",
    quote_micros: 40_000_000,
    task_index: number,
    task_attempt: 0,
    created_at: "2026-11-22T11:00:00.000Z",
    settled_at: "2026-11-22T11:00:01.000Z",
    ...fields,
  };
}

/** Answers `GET /audit` from `total` rows, page by page, as the control plane does. */
export function answerPages(request: SeenRequest, response: ServerResponse, total: number): void {
  const query = new URL(request.target, "http://control").searchParams;
  const from = Number(query.get("cursor") ?? 0);
  const to = Math.min(total, from + Number(query.get("limit")));
  const calls = Array.from({ length: to - from }, (_, index) => auditRow(from + index));
  answerJson(response, { calls, next_cursor: to < total ? String(to) : null });
}
