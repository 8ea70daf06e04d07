import { z } from "zod";
import { money } from "../dollars.ts";
import { findKey } from "../find.ts";
import { noBody } from "../read-input.ts";
import { reasonText } from "../reason.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { revokedKeyShape } from "../schemas.ts";

/** No request whose headers arrive after this answer is forwarded. Revoking twice changes nothing. */
export const revokeKey = route({
  operationId: "revokeKey",
  method: "delete",
  path: "/vault/keys/{key_id}",
  summary: "Revoke a vault key for good.",
  may: "revoke",
  query: z.strictObject({ reason: reasonText.optional() }),
  body: noBody,
  answers: { 200: { description: "Revoked; with what is still under way.", schema: revokedKeyShape } },
  codes: ["not_found"],
  async handle({ principal, params, query }, deps) {
    const { keyId } = await findKey(deps, principal, params.key_id);
    const reason = query.reason ?? "revoked by request";
    const key = await deps.ledger.act(keyId, { act: "revoke", by: principal.by, reason });
    return {
      status: 200,
      json: {
        ...renderKey(key, deps.clock.now()),
        in_flight: key.counts.reserved,
        ...money("held", key.reservedMicros),
      },
    };
  },
});
