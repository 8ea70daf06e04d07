/** What a command prints: a table on a terminal, JSON when piped or asked for. */
import { once } from "node:events";
import Table from "cli-table3";
import type { Command } from "commander";
import type { Surroundings } from "./surroundings.ts";

export type Cell = string | number | null | undefined;

export function addJsonOption(command: Command): Command {
  return command.option("--json", "JSON also on a terminal");
}

/** Waits when the reader is slower than we are, so that an export of any length stays small in memory. */
export async function write(around: Surroundings, text: string): Promise<void> {
  if (!around.stdout.write(text)) await once(around.stdout, "drain");
}

export function wantsJson(around: Surroundings, options: { json?: boolean }): boolean {
  return options.json === true || around.stdout.isTTY !== true;
}

export async function writeJson(around: Surroundings, value: unknown): Promise<void> {
  await write(around, `${JSON.stringify(value, null, around.stdout.isTTY === true ? 2 : undefined)}\n`);
}

/** A cell's text; control characters could move the cursor or recolour the terminal. */
function cellText(value: Cell): string {
  return value === null || value === undefined ? "–" : String(value).replace(/\p{Cc}/gu, "�");
}

const bare = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

/** @param right indices of columns that are aligned to the right (money, counts). */
export function tableText(head: readonly string[], rows: readonly Cell[][], right: readonly number[] = []): string {
  const table = new Table({
    head: [...head],
    chars: bare,
    colAligns: head.map((_, index) => (right.includes(index) ? "right" : "left")),
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  for (const row of rows) table.push(row.map(cellText));
  return table
    .toString()
    .split("\n")
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}

/** Two columns: the names and values of one thing. */
export function fieldsText(fields: readonly (readonly [string, Cell])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${cellText(value)}\n`).join("");
}
