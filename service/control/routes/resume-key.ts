import { findKey } from "../find.ts";
import { noBody, noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { keyShape } from "../schemas.ts";

export const resumeKey = route({
  operationId: "resumeKey",
  method: "post",
  path: "/vault/keys/{key_id}/resume",
  summary: "Take calls of a paused key again.",
  may: "resume",
  query: noQuery,
  body: noBody,
  bodyOptional: true,
  answers: { 200: { description: "Active, unless its lifetime is over.", schema: keyShape } },
  codes: ["not_found", "call_state"],
  async handle({ principal, params }, deps) {
    const { keyId } = await findKey(deps, principal, params.key_id);
    const key = await deps.ledger.act(keyId, { act: "resume", by: principal.by });
    return { status: 200, json: renderKey(key, deps.clock.now()) };
  },
});
