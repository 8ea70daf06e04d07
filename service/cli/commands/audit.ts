import type { Command } from "commander";
import { count } from "../arguments.ts";
import { addCallFilters, collectFilters, type FilterOptions } from "../call-filters.ts";
import { addConnectionOptions, type ConnectionOptions } from "../connection.ts";
import { UsageFailure } from "../failure.ts";
import { tableText, wantsJson, write, writeJson } from "../output.ts";
import { eachPage, type RowPage } from "../pages.ts";
import { type Fields, isFields, ProxyClient } from "../proxy-client.ts";
import { asText, callHead, callRow } from "../rows.ts";
import type { Surroundings } from "../surroundings.ts";

const formats = ["table", "json", "ndjson", "csv"] as const;
type Format = (typeof formats)[number];

const groupings = ["task", "vendor", "endpoint", "execution"] as const;

interface AuditOptions extends ConnectionOptions, FilterOptions {
  limit?: number;
  all?: boolean;
  cursor?: string;
  format?: string;
  json?: boolean;
  groupBy?: string;
}

/** Rows shown when neither `--limit` nor `--all` says otherwise. */
const DEFAULT_ROWS = 100;

export function addAudit(program: Command, around: Surroundings): void {
  const audit = program
    .command("audit")
    .helpCommand(false)
    .description("the calls, newest first; an export of any length streams")
    .option("--limit <n>", `at most so many (default: ${DEFAULT_ROWS})`, count)
    .option("--all", "all of them")
    .option("--cursor <cursor>", "go on where an earlier page ended (its next_cursor)")
    .option("--group-by <what>", `the bill instead of the calls, by ${groupings.join(", ")}`)
    .option("--format <format>", `${formats.join(", ")} (default: table on a terminal, else json)`)
    .option("--json", "the same as --format json");
  addConnectionOptions(addCallFilters(audit)).addHelpText(
    "after",
    `
Examples:
  $ keybrake audit --label billing-1 --state unknown
  $ keybrake audit --since 24h --all --format csv > calls.csv
  $ keybrake audit summary --label billing-1 --group-by task`,
  );
  audit.action(async (options: AuditOptions) => {
    if (options.groupBy !== undefined) return summarise(around, options);
    const format = formatOf(around, options);
    const limit = limitOf(options);
    const query = { ...collectFilters(around, options), cursor: options.cursor };
    const client = await ProxyClient.open(around, options);
    await writers[format](around, eachPage(client, "/audit", "calls", query, limit));
  });
  addSummary(audit, around);
}

function formatOf(around: Surroundings, options: AuditOptions): Format {
  if (options.format === undefined) return wantsJson(around, options) ? "json" : "table";
  const format = formats.find((candidate) => candidate === options.format);
  if (!format)
    throw new UsageFailure(`\`--format ${options.format}\` is none of ${formats.join(", ")}: choose one of them`);
  if (options.json && format !== "json")
    throw new UsageFailure(`\`--json\` and \`--format ${format}\` contradict each other: give one of them`);
  return format;
}

function limitOf(options: AuditOptions): number {
  if (!options.all) return options.limit ?? DEFAULT_ROWS;
  if (options.limit !== undefined)
    throw new UsageFailure("`--all` and `--limit` contradict each other: give one of them");
  return Number.POSITIVE_INFINITY;
}

type Pages = AsyncIterable<RowPage>;

const writers: Record<Format, (around: Surroundings, pages: Pages) => Promise<void>> = {
  async table(around, pages) {
    let cursor: string | null = null;
    for await (const page of pages) {
      cursor = page.cursor;
      if (page.rows.length > 0) await write(around, tableText(callHead, page.rows.map(callRow), [4, 5]));
    }
    if (cursor !== null) around.stderr.write("There are more: use --limit or --all.\n");
  },
  /** The control plane's own answer, as if it had been one page. */
  async json(around, pages) {
    let cursor: string | null = null;
    let separator = '{"calls":[';
    for await (const page of pages) {
      cursor = page.cursor;
      const rows = page.rows.map((row) => `\n${JSON.stringify(row)}`).join(",");
      await write(around, separator + rows);
      if (page.rows.length > 0) separator = ",";
    }
    await write(around, `\n],"next_cursor":${JSON.stringify(cursor)}}\n`);
  },
  async ndjson(around, pages) {
    for await (const page of pages) await write(around, page.rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  },
  async csv(around, pages) {
    // Imported here: the schemas load slower than the whole rest of the command line.
    const [{ csvLines }, { callShape }] = await Promise.all([
      import("../../audit/csv.ts"),
      import("../../control/schemas.ts"),
    ]);
    const columns = Object.keys(callShape.shape);
    let header = true;
    for await (const page of pages) {
      await write(around, csvLines(page.rows, columns, header));
      header = false;
    }
  },
};

function addSummary(audit: Command, around: Surroundings): void {
  audit
    .command("summary")
    .description("the bill: calls, dollars and refusals, by group; takes the options of `keybrake audit`")
    .option("--group-by <what>", `${groupings.join(", ")} (default: vendor)`)
    .addHelpText("after", "\nExample:\n  $ keybrake audit summary --label billing-1 --group-by task")
    .action(async (_options: unknown, command: Command) => {
      await summarise(around, command.optsWithGlobals<AuditOptions>());
    });
}

async function summarise(around: Surroundings, options: AuditOptions): Promise<void> {
  const groupBy = options.groupBy ?? "vendor";
  if (!groupings.some((grouping) => grouping === groupBy))
    throw new UsageFailure(`\`--group-by ${groupBy}\` is none of ${groupings.join(", ")}: choose one of them`);
  const format = formatOf(around, options);
  if (format === "csv" || format === "ndjson")
    throw new UsageFailure(`\`--format ${format}\` is for the calls: a summary is \`table\` or \`json\``);
  const query = { ...collectFilters(around, options), group_by: groupBy };
  const client = await ProxyClient.open(around, options);
  const answer = await client.get("/audit/summary", query);
  if (format === "json") return writeJson(around, answer);
  const groups: Fields[] = Array.isArray(answer.groups) ? answer.groups.filter(isFields) : [];
  const head = [groupBy.toUpperCase(), "CALLS", "SPENT", "RESERVED", "SETTLED", "RELEASED", "UNKNOWN", "REFUSED"];
  const fields = ["key", "calls", "spent_usd", "reserved_usd", "settled", "released", "unknown", "refused"];
  const rows = groups.map((group) => fields.map((field) => asText(group[field])));
  await write(around, tableText(head, rows, [1, 2, 3, 4, 5, 6, 7]));
}
