import { z } from "zod";
import { capUsd } from "../dollars.ts";
import { findKey } from "../find.ts";
import { noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { keyShape } from "../schemas.ts";

/** `usd_cap` is the new total, so that a repeated request changes nothing. */
export const raiseKey = route({
  operationId: "raiseKey",
  method: "post",
  path: "/vault/keys/{key_id}/raise",
  summary: "Raise the lifetime cap of a key to a new total.",
  may: "raise",
  query: noQuery,
  body: z.strictObject({ usd_cap: capUsd }),
  answers: { 200: { description: "The key with its new cap.", schema: keyShape } },
  codes: ["not_found", "call_state"],
  async handle({ principal, params, body }, deps) {
    const { keyId } = await findKey(deps, principal, params.key_id);
    const key = await deps.ledger.act(keyId, { act: "raise", capMicros: body.usd_cap, by: principal.by });
    return { status: 200, json: renderKey(key, deps.clock.now()) };
  },
});
