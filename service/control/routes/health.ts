import { noBody, noQuery } from "../read-input.ts";
import { route } from "../route.ts";
import { healthShape } from "../schemas.ts";

/** Liveness only: a store that is away for a moment must not make a platform restart the process. */
export const health = route({
  operationId: "health",
  method: "get",
  path: "/health",
  summary: "The process serves.",
  may: null,
  query: noQuery,
  body: noBody,
  answers: { 200: { description: "It serves.", schema: healthShape } },
  codes: [],
  async handle() {
    return { status: 200, json: { status: "ok" } };
  },
});
