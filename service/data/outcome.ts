/** What a vendor's reply means: for the ledger, and for the client. The table is in ARCHITECTURE.md. */
import { Refusal } from "../errors.ts";
import type { Outcome } from "../ledger/ledger.ts";
import type { Logger } from "../log.ts";
import type { Json, Operation, Quote, Vendor, VendorAnswer, VendorRequest, Verdict } from "../vendors/vendor.ts";
import type { Reply, VendorReply } from "./forward.ts";

/** One parsed and priced call. */
export interface PricedCall {
  vendor: Vendor;
  operation: Operation;
  request: VendorRequest;
  found: Json | undefined;
  quote: Quote;
}

export interface Judgement {
  outcome: Outcome;
  /** What the client gets instead of the vendor's answer. */
  refusal: Refusal | null;
}

/** @param tainted the answer holds the real secret: none of its texts may be recorded or passed on. */
export function judge(call: PricedCall, reply: Reply, tainted: boolean, log: Logger): Judgement {
  switch (reply.kind) {
    case "unsent":
      return {
        outcome: { kind: "release", status: null, code: reply.reason },
        refusal: new Refusal("upstream_unreachable", `the vendor was not reached (${reply.reason}); nothing was sent`),
      };
    case "stopped":
      return { outcome: { kind: "release", status: null, code: reply.refusal.code }, refusal: reply.refusal };
    case "lost":
      return {
        outcome: harmless(call, { kind: "unknown", status: null, code: reply.reason }),
        refusal: new Refusal(
          "outcome_unknown",
          `the call was sent and no answer came (${reply.reason}); whether it took effect is not known`,
          { retry: call.operation.idempotent || !call.operation.shield },
        ),
      };
    case "answer":
      return judgeAnswer(call, reply, tainted, log);
  }
}

function judgeAnswer(call: PricedCall, reply: VendorReply, tainted: boolean, log: Logger): Judgement {
  const { status } = reply;
  const redirect = status >= 300 && status < 400;
  const verdict: Verdict = redirect ? { kind: "unknown" } : verdictOf(call, reply, log);
  const code = `vendor_${status}`;
  switch (verdict.kind) {
    case "settle": {
      const { objectId, object } = tainted ? { objectId: null, object: null } : verdict;
      const outcome: Outcome = { ...verdict, objectId, object, status, receipt: null };
      return { outcome, refusal: withheld(reply, tainted) };
    }
    case "release":
      return { outcome: { kind: "release", status, code }, refusal: withheld(reply, tainted) };
    case "unknown":
      return {
        outcome: harmless(call, { kind: "unknown", status, code }),
        refusal: redirect
          ? new Refusal("upstream_unreachable", "the vendor answered with a redirect, which is not followed")
          : withheld(reply, tainted),
      };
    case "credential":
      return {
        outcome: { kind: "release", status, code: "vendor_credential_rejected" },
        refusal: new Refusal(
          "vendor_credential_rejected",
          `${call.vendor.id} refused the real secret twice; an operator must set a valid one`,
        ),
      };
  }
}

function withheld(reply: VendorReply, tainted: boolean): Refusal | null {
  if (tainted) return new Refusal("upstream_unreachable", "the vendor's answer held its secret and is withheld");
  if (encoded(reply))
    return new Refusal("upstream_unreachable", "the vendor's answer is compressed and cannot be read");
  return null;
}

/** `identity` was asked for; what comes otherwise can be neither read nor scanned. */
function encoded(reply: VendorReply): boolean {
  const coding = reply.headers["content-encoding"];
  return coding !== undefined && coding !== "" && coding !== "identity";
}

/** A free read changes nothing and holds nothing, however it ended: nobody needs to find out later. */
function harmless(call: PricedCall, outcome: Extract<Outcome, { kind: "unknown" }>): Outcome {
  const { kind, shield } = call.operation;
  return kind === "free" && !shield ? { ...outcome, kind: "release" } : outcome;
}

/** A connector that fails on an answer must not free money: a success costs what was reserved, all else is unknown. */
function verdictOf(call: PricedCall, reply: VendorReply, log: Logger): Verdict {
  const { vendor, operation, request, quote, found } = call;
  try {
    return vendor.judge(operation, request, quote, found, vendorAnswer(reply));
  } catch (error) {
    log.error({ err: error, vendor: vendor.id, vendor_status: reply.status }, "an answer could not be judged");
    if (reply.status < 200 || reply.status > 299) return { kind: "unknown" };
    const { micros, currency, amountMinor } = quote;
    return { kind: "settle", micros, pricePending: false, currency, amountMinor, objectId: null, object: null };
  }
}

/** The vendor refused the real secret, so that nothing happened. */
export function rejectsCredential(call: PricedCall, reply: Reply, log: Logger): boolean {
  return reply.kind === "answer" && reply.status === 401 && verdictOf(call, reply, log).kind === "credential";
}

export function vendorAnswer(reply: VendorReply): VendorAnswer {
  const readable = reply.rest === null && !reply.cut && !encoded(reply);
  return { status: reply.status, headers: reply.headers, json: readable ? parseJson(reply.body) : undefined };
}

function parseJson(body: Buffer): Json | undefined {
  try {
    return JSON.parse(body.toString("utf8")) as Json;
  } catch {
    return undefined;
  }
}
