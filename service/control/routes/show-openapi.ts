import { z } from "zod";
import { noBody, noQuery } from "../read-input.ts";
import { route } from "../route.ts";

export const showOpenapi = route({
  operationId: "showOpenapi",
  method: "get",
  path: "/openapi.json",
  summary: "This description.",
  may: null,
  query: noQuery,
  body: noBody,
  answers: { 200: { description: "OpenAPI 3.1.", schema: z.looseObject({ openapi: z.literal("3.1.0") }) } },
  codes: [],
  async handle() {
    // Made when it is first asked for: a start needs none of it.
    const { openapi } = await import("../openapi.ts");
    return { status: 200, json: openapi() };
  },
});
