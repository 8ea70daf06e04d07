import { z } from "zod";
import { DEFAULT_PAGE, labelText, pageFields } from "../../audit/audit-filter.ts";
import { noBody } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
import { keyListShape } from "../schemas.ts";

export const listKeys = route({
  operationId: "listKeys",
  method: "get",
  path: "/vault/keys",
  summary: "Vault keys with their live balance, newest first.",
  may: "read",
  query: z.strictObject({
    label: labelText.optional().meta({ description: "Keys whose label, or bound execution, is this." }),
    ...pageFields,
  }),
  body: noBody,
  answers: { 200: { description: "One page of keys.", schema: keyListShape } },
  codes: [],
  async handle({ principal, query }, { store, clock }) {
    const filter = {
      ...(query.label !== undefined && { label: query.label }),
      ...(principal.sees !== null && { owner: principal.sees }),
    };
    const page = await store.listKeys(filter, query.limit ?? DEFAULT_PAGE, query.cursor ?? null);
    const now = clock.now();
    return { status: 200, json: { keys: page.items.map((key) => renderKey(key, now)), next_cursor: page.cursor } };
  },
});
