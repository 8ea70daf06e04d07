import { renderCallDetail } from "../call-detail.ts";
import { findCall } from "../find.ts";
import { noBody, noQuery } from "../read-input.ts";
import { route } from "../route.ts";
import { callDetailShape } from "../schemas.ts";

export const showCall = route({
  operationId: "showCall",
  method: "get",
  path: "/calls/{call_id}",
  summary: "One call with its transitions.",
  may: "read",
  query: noQuery,
  body: noBody,
  answers: { 200: { description: "The call.", schema: callDetailShape } },
  codes: ["not_found"],
  async handle({ principal, params }, deps) {
    const call = await findCall(deps, principal, params.call_id);
    return { status: 200, json: await renderCallDetail(call, deps) };
  },
});
