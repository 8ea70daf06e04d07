/** The bills of the executions, for people and for machines. */
import { billText, faults } from "../billing-demo/bill.ts";
import type { DemoOptions } from "../billing-demo/options.ts";
import type { CloudDemoResult } from "./run-cloud-demo.ts";

export interface CloudBillJson {
  ok: boolean;
  /** All that went wrong, one sentence each. */
  faults: string[];
  keys: string[];
  labels: string[];
  executions: string[];
  bills: {
    execution: string;
    label: string;
    key_id: string;
    schedule_time: string;
    deliveries: number[];
    through: string;
    tasks: number;
    attempts: number;
    succeeded: number;
    cap_micros: number;
    spent_micros: number;
    reserved_micros: number;
    vendor_micros: number;
    settled: number;
    refused: number;
    unknown: number;
  }[];
  revoked: { execution: string; in_flight: number; created_after: number; refused_after: number };
  intrusions: { attempt: string; outcome: string; refused: boolean }[];
  seconds: number;
}

export function cloudFaults(options: DemoOptions, result: CloudDemoResult): string[] {
  const { nights } = result;
  const found = nights.flatMap(({ execution, books }) =>
    faults(options, books).map((sentence) => `${execution}: ${sentence}`),
  );
  for (const { deliveries, execution } of nights) {
    if (!deliveries.every((status) => status === 200 || status === 201))
      found.push(`the deliveries for ${execution} ended with ${deliveries}`);
  }
  if (result.executions !== nights.length)
    found.push(`Cloud Run has ${result.executions} executions, not ${nights.length}`);
  if (result.keys !== nights.length) found.push(`the proxy has ${result.keys} keys, not ${nights.length}`);
  for (const what of ["keyId", "label", "execution"] as const) {
    if (new Set(nights.map((night) => night[what])).size !== nights.length)
      found.push(`two executions share one ${what}`);
  }
  const ours = nights.reduce((sum, { books }) => sum + books.comparison.vendorObjects, 0);
  if (ours !== result.vendorObjects)
    found.push(`the vendor has ${result.vendorObjects - ours} objects of no execution of ours`);
  found.push(...result.stop.differences);
  for (const { attempt, outcome, refused } of result.intrusions) {
    if (!refused) found.push(`${attempt}: ${outcome}`);
  }
  return found;
}

export function cloudBillJson(options: DemoOptions, result: CloudDemoResult): CloudBillJson {
  const { nights, stop } = result;
  const wrong = cloudFaults(options, result);
  return {
    ok: wrong.length === 0,
    faults: wrong,
    keys: nights.map(({ keyId }) => keyId),
    labels: nights.map(({ label }) => label),
    executions: nights.map(({ execution }) => execution),
    bills: nights.map(({ books: { ledger, job, comparison }, ...night }) => ({
      execution: night.execution,
      label: night.label,
      key_id: night.keyId,
      schedule_time: night.scheduleTime,
      deliveries: night.deliveries,
      through: night.way,
      tasks: options.tasks,
      attempts: job.attempts,
      succeeded: job.succeeded,
      cap_micros: ledger.sums.capMicros,
      spent_micros: ledger.sums.spentMicros,
      reserved_micros: ledger.sums.reservedMicros,
      vendor_micros: comparison.vendorMicros,
      settled: ledger.calls.filter(({ state }) => state === "settled").length,
      refused: ledger.refused,
      unknown: ledger.calls.filter(({ state }) => state === "unknown").length,
    })),
    revoked: {
      execution: nights.at(-1)!.execution,
      in_flight: stop.inFlight,
      created_after: stop.createdAfter,
      refused_after: stop.refusedAfter,
    },
    intrusions: result.intrusions,
    seconds: result.seconds,
  };
}

export function cloudBillText(options: DemoOptions, result: CloudDemoResult): string {
  const { nights, stop } = result;
  const wrong = cloudFaults(options, result);
  const last = nights.at(-1)!.execution;
  return [
    "",
    ...nights.map(({ books }) => billText(options, books)),
    `${nights.length} scheduled times, each delivered ${nights[0]!.deliveries.length} times: ${result.executions} executions, ${result.keys} keys`,
    `${last} was revoked in the middle: ${stop.inFlight} calls were in flight, ${stop.createdAfter} of them made an object after it,`,
    `  and all ${stop.refusedAfter} calls that came later were refused`,
    ...result.intrusions.map(({ attempt, outcome }) => `${attempt}: ${outcome}`),
    "",
    ...(wrong.length === 0
      ? [
          `${nights.length} keys, ${nights.length} labels, ${nights.length} bills equal to the vendor's books, in ${result.seconds} s`,
        ]
      : ["WRONG:", ...wrong.slice(0, 20).map((sentence) => `- ${sentence}`)]),
    "",
  ].join("\n");
}
