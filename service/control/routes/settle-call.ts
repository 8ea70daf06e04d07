import { z } from "zod";
import { renderCallDetail } from "../call-detail.ts";
import { priceUsd } from "../dollars.ts";
import { findCall } from "../find.ts";
import { noQuery } from "../read-input.ts";
import { reasonText } from "../reason.ts";
import { route } from "../route.ts";
import { callDetailShape } from "../schemas.ts";

export const settleCall = route({
  operationId: "settleCall",
  method: "post",
  path: "/calls/{call_id}/settle",
  summary: "Decide that an unknown call took effect, and what it cost.",
  may: "decide",
  query: noQuery,
  body: z.strictObject({ cost_usd: priceUsd, reason: reasonText }),
  answers: { 200: { description: "The settled call.", schema: callDetailShape } },
  codes: ["not_found", "call_state"],
  async handle({ principal, params, body }, deps) {
    const call = await findCall(deps, principal, params.call_id);
    const settled = await deps.ledger.settleByHand(call, body.cost_usd, principal.by, body.reason);
    return { status: 200, json: await renderCallDetail(settled, deps) };
  },
});
