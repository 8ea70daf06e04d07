import { z } from "zod";
import { findKey } from "../find.ts";
import { noQuery } from "../read-input.ts";
import { reasonText } from "../reason.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { keyShape } from "../schemas.ts";

export const pauseKey = route({
  operationId: "pauseKey",
  method: "post",
  path: "/vault/keys/{key_id}/pause",
  summary: "Take no calls of this key until it is resumed.",
  may: "pause",
  query: noQuery,
  body: z.strictObject({ reason: reasonText.optional() }),
  bodyOptional: true,
  answers: { 200: { description: "Paused.", schema: keyShape } },
  codes: ["not_found", "call_state"],
  async handle({ principal, params, body }, deps) {
    const { keyId } = await findKey(deps, principal, params.key_id);
    const reason = body.reason ?? "paused by request";
    const key = await deps.ledger.act(keyId, { act: "pause", by: principal.by, reason });
    return { status: 200, json: renderKey(key, deps.clock.now()) };
  },
});
