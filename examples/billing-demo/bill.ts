/** The bill of the run, for people and for machines. */
import { formatUsd } from "../../service/money.ts";
import type { Row } from "./ledger-books.ts";
import type { DemoOptions } from "./options.ts";
import type { DemoResult } from "./run-demo.ts";

export interface BillJson {
  ok: boolean;
  tasks: number;
  attempts: number;
  keys: number;
  cap_micros: number;
  spent_micros: number;
  reserved_micros: number;
  vendor_micros: number;
  settled: number;
  refused: number;
  unknown: number;
  seconds: number;
  label: string;
}

/** All that went wrong, one sentence each; none: the run is right to the cent. */
export function faults(options: DemoOptions, { job, ledger, comparison }: DemoResult): string[] {
  const found = [...comparison.differences];
  if (job.succeeded !== options.tasks)
    found.push(`${options.tasks - job.succeeded} tasks did not end with 0: ${job.failed.slice(0, 10)}`);
  if (ledger.keys !== 1) found.push(`the label has ${ledger.keys} keys; it must have one`);
  if (ledger.sums.capMicros !== options.capMicros) found.push(`the key's cap is ${formatUsd(ledger.sums.capMicros)}`);
  const open = count(ledger.calls, "reserved") + count(ledger.calls, "unknown");
  if (open > 0) found.push(`${open} calls are still open`);
  return found;
}

export function billJson(options: DemoOptions, result: DemoResult): BillJson {
  const { ledger, job } = result;
  return {
    ok: faults(options, result).length === 0,
    tasks: options.tasks,
    attempts: job.attempts,
    keys: ledger.keys,
    cap_micros: ledger.sums.capMicros,
    spent_micros: ledger.sums.spentMicros,
    reserved_micros: ledger.sums.reservedMicros,
    vendor_micros: result.comparison.vendorMicros,
    settled: count(ledger.calls, "settled"),
    refused: ledger.refused,
    unknown: count(ledger.calls, "unknown"),
    seconds: result.seconds,
    label: result.execution,
  };
}

export function billText(options: DemoOptions, result: DemoResult): string {
  const { ledger, job, comparison } = result;
  const wrong = faults(options, result);
  const lines = [
    `The bill of ${result.execution}`,
    "",
    `  tasks     ${job.succeeded} of ${options.tasks} ended with 0, in ${job.attempts} attempts (${job.attempts - options.tasks} died and ran again)`,
    `  keys      ${ledger.keys}, whatever the number of times that the set-up step ran`,
    `  cap       $${formatUsd(ledger.sums.capMicros)}`,
    `  spent     $${formatUsd(ledger.sums.spentMicros)}`,
    `  reserved  $${formatUsd(ledger.sums.reservedMicros)}`,
    "",
    ...table(["state", "calls", "dollars"], stateRows(result)),
    "",
    ...table(["vendor", "settled", "dollars"], vendorRows(ledger.calls)),
    "",
  ];
  if (wrong.length === 0) {
    lines.push(
      `  ledger = vendor's books: ${result.vendorTitle} lists ${comparison.vendorObjects} PaymentIntents of this run,`,
      `  $${formatUsd(comparison.vendorMicros)} in all, each with its settled call, and no customer twice.`,
    );
  } else {
    lines.push("  WRONG:", ...wrong.slice(0, 20).map((sentence) => `  - ${sentence}`));
    if (result.failureLog !== "") lines.push("", "  Last output of the tasks:", result.failureLog);
  }
  if (result.seconds > 0) lines.push("", `  ${result.seconds} s`);
  lines.push("");
  return lines.join("\n");
}

function stateRows({ ledger }: DemoResult): string[][] {
  const rows = (["settled", "released", "reserved", "unknown"] as const).map((state) => {
    const calls = ledger.calls.filter((call) => call.state === state);
    const micros = calls.reduce((sum, call) => sum + (state === "settled" ? call.costMicros : call.quoteMicros), 0);
    return [state, String(calls.length), state === "released" ? "" : formatUsd(micros)];
  });
  for (const [code, refusals] of Object.entries(ledger.sums.refusals))
    rows.push([`refused: ${code}`, String(refusals), ""]);
  return rows;
}

function vendorRows(calls: readonly Row[]): string[][] {
  const groups = Object.groupBy(
    calls.filter((call) => call.state === "settled"),
    (call) => call.vendor,
  );
  return Object.entries(groups).map(([vendor, group = []]) => [
    vendor,
    String(group.length),
    formatUsd(group.reduce((sum, call) => sum + call.costMicros, 0)),
  ]);
}

function count(calls: readonly Row[], state: string): number {
  return calls.filter((call) => call.state === state).length;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!))).join("  ")}`.trimEnd();
  return [line(head), ...rows.map(line)];
}
