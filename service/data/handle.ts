/**
 * The life of a call, on one screen. Every step refuses by throwing a `Refusal`; nothing is sent before the ledger holds its
 * price, and nobody is answered before the ledger holds its outcome.
 */
import { Refusal } from "../errors.ts";
import type { Call } from "../ledger/types.ts";
import type { Quote } from "../vendors/vendor.ts";
import { answer, answerStream, passedHeaders } from "./answer.ts";
import { authenticate } from "./authenticate.ts";
import { readBody } from "./body.ts";
import { logCall } from "./canonical-line.ts";
import { countCall } from "./count-call.ts";
import type { DataPlane } from "./data-plane.ts";
import { ClientGone, type Exchange } from "./exchange.ts";
import { finish } from "./finish.ts";
import { readHeaders } from "./headers.ts";
import { lookUp } from "./look-up.ts";
import { judge, type PricedCall } from "./outcome.ts";
import { asRefusal, refuse } from "./refuse.ts";
import { repeat } from "./repeat.ts";
import { reserveRequest } from "./reserve-request.ts";
import { checkScope } from "./scope.ts";
import { send } from "./send.ts";
import { chooseVendor, parseTarget } from "./target.ts";

export async function handle(plane: DataPlane, exchange: Exchange): Promise<void> {
  try {
    await live(plane, exchange);
  } catch (error) {
    if (error instanceof ClientGone) exchange.state = "client_gone";
    else refuse(plane, exchange, asRefusal(error, plane.log));
  }
  logCall(plane, exchange);
  countCall(plane, exchange);
}

async function live(plane: DataPlane, exchange: Exchange): Promise<void> {
  const { ledger, limits, probe, secrets, vendors } = plane;
  const { request: incoming } = exchange;
  probe?.("received", exchange);
  if (plane.draining || plane.inFlight > limits.concurrency) {
    throw new Refusal(
      "overloaded",
      `${limits.concurrency} calls are in flight, or the proxy is shutting down; try again`,
    );
  }

  const headers = readHeaders(incoming, plane.headerNames);
  exchange.headers = headers;
  const key = await authenticate(plane, exchange, headers);
  plane.enter(exchange, key);
  probe?.("authenticated", exchange);

  const target = parseTarget(incoming.url!, vendors, limits.targetBytes);
  const vendor = chooseVendor(target, key, vendors);
  exchange.vendor = vendor;
  const operation = vendor.find(incoming.method!, target.segments);
  exchange.operation = operation;
  checkScope(key.scope, vendor, operation);

  const secret = await secrets.get(vendor.id);
  const request = vendor.parse(operation, {
    query: target.query,
    contentType: headers["content-type"] ?? null,
    body: await readBody(exchange, operation.maxBodyBytes),
    headers,
    accounts: key.scope.accounts,
    ownAccount: vendor.accountOf(secret),
  });
  probe?.("parsed", exchange);

  const found = await lookUp(plane, vendor, operation, request);
  const quote = vendor.quote(operation, request, found, key.scope.assumeMicros);
  exchange.quote = quote;
  probe?.("quoted", exchange);

  if (exchange.gone) throw new ClientGone("the client left before its call was reserved");
  const asked: PricedCall = { vendor, operation, request, found, quote };
  const reservation = await ledger.reserve(key.keyId, reserveRequest(plane, exchange, key, headers, asked));
  exchange.reserved = true;
  exchange.callId = reservation.call.id;
  probe?.("reserved", exchange);
  if (reservation.kind === "repeat") return repeat(plane, exchange, reservation.call);

  const call: PricedCall = { ...asked, quote: quoteHeld(quote, reservation.call) };
  exchange.quote = call.quote;
  const { reply, scanners, tainted } = await send(plane, exchange, call, reservation, secret);
  exchange.vendorStatus = reply.kind === "answer" ? reply.status : null;
  probe?.("answered", exchange);

  const { outcome, refusal } = judge(call, reply, tainted, plane.log);
  await finish(plane, exchange, call, reservation, outcome, refusal ? null : reply);
  probe?.("settled", exchange);

  probe?.("before_answer", exchange);
  if (reply.kind !== "answer") throw refusal;
  if (refusal) {
    reply.rest?.cancel();
    throw refusal;
  }
  if (reply.cut || reply.rest) return answerStream(plane, exchange, reply, scanners);
  answer(plane, exchange, { status: reply.status, headers: passedHeaders(reply.headers), body: reply.body });
}

/**
 * What was reserved for the call: one that is sent again is priced, and written, as it was at first. By now its object may look
 * otherwise because of the call itself, and a vendor refuses another body under the same key.
 */
function quoteHeld(quote: Quote, { quoteMicros, amountMinor, currency }: Call): Quote {
  return { ...quote, micros: quoteMicros, amountMinor, currency };
}
