/** What the vendors' tests share: requests, answers and look-ups in one line. */
import { Refusal } from "../../service/errors.ts";
import type { Json, LookupFacts, LookupPlan, RequestInput, VendorAnswer } from "../../service/vendors/vendor.ts";

export const FORM = "application/x-www-form-urlencoded";

export function input(body: string, contentType: string | null = FORM, more: Partial<RequestInput> = {}): RequestInput {
  return { query: "", contentType, body: Buffer.from(body), headers: {}, accounts: [], ownAccount: null, ...more };
}

export function answer(status: number, json: unknown, headers: Record<string, string> = {}): VendorAnswer {
  return { status, headers, json: json as Json | undefined };
}

/** The code of the refusal that `act` throws; `"none"` when it throws none. */
export function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  return "none";
}

/** The sentence of whatever `act` throws. */
export function sentence(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "";
}

export function factsOf(some: Partial<LookupFacts>): LookupFacts {
  return {
    vendorKey: "key",
    callId: "call",
    firstSentAt: 1_000_000_000,
    lastSentAt: 1_000_060_000,
    body: {},
    headers: {},
    quoteMicros: 0,
    objectId: null,
    taken: () => false,
    ...some,
  };
}

/** Feeds pages until the plan says something final. Fails when it asks for more pages than there are. */
export function lookUp(plan: LookupPlan, pages: unknown[]): Exclude<ReturnType<LookupPlan["read"]>, { kind: "next" }> {
  for (const page of pages) {
    const reading = plan.read(answer(200, page));
    if (reading.kind !== "next") return reading;
  }
  throw new Error("the plan asked for another page");
}
