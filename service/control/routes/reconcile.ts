import { noBody, noQuery } from "../read-input.ts";
import { route } from "../route.ts";
import { reconcileShape } from "../schemas.ts";

export const reconcile = route({
  operationId: "reconcile",
  method: "post",
  path: "/reconcile",
  summary: "Look up unknown calls, and calls whose price is pending, at their vendors now.",
  may: "reconcile",
  query: noQuery,
  body: noBody,
  bodyOptional: true,
  answers: { 200: { description: "What was settled, released and left unknown.", schema: reconcileShape } },
  codes: [],
  async handle(_request, deps) {
    return { status: 200, json: await deps.reconcile() };
  },
});
