/** Reads from a vendor with the real secret: what must be known before a quote, and what the reconciler asks. */
import { Refusal } from "../errors.ts";
import type { Place } from "../ledger/reconcile.ts";
import type { Json, Operation, Vendor, VendorAnswer, VendorRequest } from "../vendors/vendor.ts";
import type { DataPlane } from "./data-plane.ts";
import type { VendorReply } from "./forward.ts";
import { vendorAnswer } from "./outcome.ts";
import { hitsAny } from "./scan.ts";

/** The vendor's object that a price depends on (the intent of a confirm); `undefined` when the quote needs none. */
export async function lookUp(
  plane: DataPlane,
  vendor: Vendor,
  operation: Operation,
  request: VendorRequest,
): Promise<Json | undefined> {
  const target = vendor.lookupTarget(operation, request);
  if (target === null) return undefined;
  const place = { target, subdomain: operation.subdomain, headers: request.headers };
  const { status, json } = await readVendor(plane, vendor, place);
  if (status >= 200 && status < 300 && json !== undefined) return json;
  if (status === 400 || status === 403 || status === 404) {
    throw new Refusal(
      "request_invalid",
      `the vendor answered ${status} to the look-up of what this call would act on`,
      {
        status,
      },
    );
  }
  throw new Refusal(
    "upstream_unreachable",
    `the look-up that prices this call was answered ${status}; nothing was sent`,
  );
}

/**
 * One GET with the real secret. Throws `upstream_unreachable`, `vendor_credential_rejected`, `vendor_secret_unavailable`.
 * @returns the scanned answer.
 */
export async function readVendor(plane: DataPlane, vendor: Vendor, place: Place): Promise<VendorAnswer> {
  let reply = await readOnce(plane, vendor, place);
  if (reply.status === 401) {
    await plane.secrets.refresh(vendor.id);
    reply = await readOnce(plane, vendor, place);
  }
  if (reply.status === 401) {
    throw new Refusal(
      "vendor_credential_rejected",
      `${vendor.id} refused the real secret; an operator must set a valid one`,
    );
  }
  return vendorAnswer(reply);
}

async function readOnce(plane: DataPlane, vendor: Vendor, place: Place): Promise<VendorReply> {
  const secret = await plane.secrets.get(vendor.id);
  const { target, headers, subdomain } = place;
  const message = vendor.authorise({ method: "GET", target, headers, body: null }, secret);
  const reply = await plane.upstreams.send(vendor, subdomain, message, {
    ms: plane.limits.upstreamMs,
    stream: false,
    gate: null,
    onSent: null,
  });
  if (reply.kind !== "answer" || reply.cut || reply.rest) {
    if (reply.kind === "answer") reply.rest?.cancel();
    throw new Refusal("upstream_unreachable", "a read from the vendor brought no whole answer; nothing was sent");
  }
  if (hitsAny([plane.scanners.for(vendor, secret)], reply.body)) {
    throw new Refusal("upstream_unreachable", "the vendor's answer to a read held its secret and is withheld");
  }
  return reply;
}
