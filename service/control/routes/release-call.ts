import { z } from "zod";
import { renderCallDetail } from "../call-detail.ts";
import { findCall } from "../find.ts";
import { noQuery } from "../read-input.ts";
import { reasonText } from "../reason.ts";
import { route } from "../route.ts";
import { callDetailShape } from "../schemas.ts";

export const releaseCall = route({
  operationId: "releaseCall",
  method: "post",
  path: "/calls/{call_id}/release",
  summary: "Decide that an unknown call did not happen; what it held is available again.",
  may: "decide",
  query: noQuery,
  body: z.strictObject({ reason: reasonText }),
  answers: { 200: { description: "The released call.", schema: callDetailShape } },
  codes: ["not_found", "call_state"],
  async handle({ principal, params, body }, deps) {
    const call = await findCall(deps, principal, params.call_id);
    const released = await deps.ledger.releaseByHand(call, principal.by, body.reason);
    return { status: 200, json: await renderCallDetail(released, deps) };
  },
});
