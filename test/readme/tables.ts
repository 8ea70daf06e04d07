/** The README's tables that are made from code, by the name of their markers. */

import privileges from "../../components/least-privilege.json" with { type: "json" };
import { catalogue } from "../../service/errors.ts";
import { builtIn } from "../../service/vendors/index.ts";

interface DescribedVendor {
  name: string;
  rules: { endpoint: string; quote: { why: string } | { unbounded: string } }[];
}

function table(head: string[], rows: string[][]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}

const rules = (builtIn as DescribedVendor[]).flatMap(({ name, rules }) => rules.map((rule) => ({ name, ...rule })));

export const tables: Record<string, string> = {
  privileges: table(
    ["who", "may", "on", "why"],
    privileges.map(({ who, may, on, why }) => [who, may, on, why]),
  ),
  catalogue: table(
    ["code", "status", "retry", "meaning"],
    Object.entries(catalogue).map(([code, { status, retry, meaning }]) => [
      `\`${code}\``,
      String(status),
      retry ? "yes" : "no",
      meaning,
    ]),
  ),
  priced: table(
    ["vendor", "call", "reserves"],
    rules.flatMap(({ name, endpoint, quote }) =>
      "why" in quote ? [[name, `\`${endpoint.replace("/2010-04-01/Accounts/{AccountSid}", "…")}\``, quote.why]] : [],
    ),
  ),
  unbounded: table(
    ["vendor", "call", "why it has no price"],
    rules.flatMap(({ name, endpoint, quote }) =>
      "unbounded" in quote ? [[name, `\`${endpoint}\``, quote.unbounded]] : [],
    ),
  ),
};
