import { findKey } from "../find.ts";
import { noBody, noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { keyShape } from "../schemas.ts";

export const showKey = route({
  operationId: "showKey",
  method: "get",
  path: "/vault/keys/{key_id}",
  summary: "One vault key with its live balance.",
  may: "read",
  query: noQuery,
  body: noBody,
  answers: { 200: { description: "The key.", schema: keyShape } },
  codes: ["not_found"],
  async handle({ principal, params }, deps) {
    const key = await findKey(deps, principal, params.key_id);
    return { status: 200, json: renderKey(key, deps.clock.now()) };
  },
});
