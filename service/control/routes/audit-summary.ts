import { z } from "zod";
import { allPages, filterFields, STREAM_PAGE } from "../../audit/audit-filter.ts";
import { AuditRows } from "../../audit/audit-rows.ts";
import { groupings, Summary } from "../../audit/summary.ts";
import { money } from "../dollars.ts";
import { noBody } from "../read-input.ts";
import { route } from "../route.ts";
import { summaryShape } from "../schemas.ts";

export const auditSummary = route({
  operationId: "summarise",
  method: "get",
  path: "/audit/summary",
  summary: "The bill of a run, by task, vendor, endpoint or execution.",
  may: "read",
  query: z.strictObject({
    ...filterFields,
    group_by: z
      .enum(groupings, { error: `must be one of ${groupings.join(", ")}` })
      .default("vendor")
      .meta({ description: "Default `vendor`." }),
  }),
  body: noBody,
  answers: { 200: { description: "The groups, in the order of their keys.", schema: summaryShape } },
  codes: [],
  async handle({ principal, query }, { store, gate, clock, retentionMs }) {
    const { group_by: grouping, ...filter } = query;
    const summary = new Summary(grouping);
    await gate.run(async () => {
      const rows = new AuditRows(store, {
        filter,
        owner: principal.sees,
        retention: { retentionMs, now: clock.now() },
      });
      const read = (from: string | null) => rows.page(STREAM_PAGE, from);
      for await (const calls of allPages(await read(null), read)) for (const call of calls) summary.add(call);
    });
    const groups = summary.groups().map(({ spentMicros, reservedMicros, ...group }) => ({
      ...group,
      ...money("spent", spentMicros),
      ...money("reserved", reservedMicros),
    }));
    return { status: 200, json: { groups } };
  },
});
