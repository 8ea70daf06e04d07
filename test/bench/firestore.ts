/**
 * The Firestore part: group commit against one transaction per call, one key in 1, 2 and 4 processes, and what a call costs. On
 * the official emulator, whose locks and refusals are Firestore's, and whose speed is not: what counts are ratios and counts.
 */
import { randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { emulatorMissing, startEmulator } from "../../examples/local-cloud/firestore-emulator.ts";
import { Child } from "./child.ts";
import type { Figure } from "./figures.ts";
import { type Operations, perCall } from "./firestore-cost.ts";
import {
  costFigures,
  type Grouped,
  groupFigures,
  instanceFigures,
  PROCESSES,
  type TransactionPerCall,
} from "./firestore-figures.ts";
import { type InstancesFigure, measureInstances } from "./firestore-instances.ts";
import { closedLoop, paymentRequest } from "./load.ts";
import type { Setting } from "./parts.ts";
import { type ProxyOptions, proxyEnv, type RunningProxy, startProxy } from "./proxy.ts";
import type { Report } from "./report.ts";
import { demandAllAnswered, median } from "./rounds.ts";

type FirestoreOptions = ProxyOptions & { adminKey: string; env: Record<string, string> };

interface Place extends Setting {
  directory: string;
  upstream: URL;
  children: Child[];
  options: FirestoreOptions;
}

/** Of the baseline's only round: it is meant to collapse, not to hold up the bench. */
const BASELINE_SECONDS = 12;
const PATIENCE_SECONDS = 3;
/** Calls of one client alone: what a call costs when nobody shares its commit or is in its way. */
const ALONE_CALLS = 20;

/** @returns no figure, and says why, on a machine without the emulator. */
export async function firestore(setting: Setting & { directory: string; upstream: URL }): Promise<Figure[]> {
  if (emulatorMissing !== null) {
    setting.say(`firestore: left out, for ${emulatorMissing}`);
    return [];
  }
  setting.say("firestore: starting the emulator …");
  return onEmulator(setting.directory, async (options) => {
    const children: Child[] = [];
    try {
      return await figuresOf({ ...setting, children, options });
    } finally {
      for (const child of children.reverse()) await child.stop();
    }
  });
}

/** Runs `work` with what a proxy on an empty Firestore is started with. */
export async function onEmulator<T>(directory: string, work: (options: FirestoreOptions) => Promise<T>): Promise<T> {
  const emulator = await startEmulator();
  try {
    const env = {
      KEYBRAKE_STORE: `firestore:bench-${randomBytes(6).toString("hex")}/keybrake`,
      KEYBRAKE_PEPPER: `file:${join(directory, "firestore.pepper")}`,
      FIRESTORE_EMULATOR_HOST: emulator.host,
    };
    return await work({ file: "firestore-proxy.ts", adminKey: randomBytes(32).toString("hex"), env });
  } finally {
    await emulator.stop();
  }
}

async function figuresOf(place: Place): Promise<Figure[]> {
  const proxy = await proxyOf(place);
  place.say("firestore: group commit …");
  const ours = await grouped(place, proxy);
  place.say(`firestore: one transaction per call, ${BASELINE_SECONDS} s …`);
  const theirs = await transactionPerCall(place, await proxy.issue("transactions"));
  place.say(`firestore: ${PROCESSES.join(", ")} processes on one key …`);
  const rounds = await instances(place);
  return [...groupFigures(place.clients, ours, theirs), ...instanceFigures(rounds), ...costFigures(ours, theirs)];
}

async function proxyOf(place: Place): Promise<RunningProxy> {
  const directory = join(place.directory, "firestore-proxy");
  await mkdir(directory);
  const proxy = await startProxy(directory, place.upstream, place.options);
  place.children.push(proxy.child);
  return proxy;
}

async function grouped({ clients, seconds, rounds }: Place, proxy: RunningProxy): Promise<Grouped> {
  const make = paymentRequest(proxy.child.url, proxy.vaultKey);
  const figures: Omit<Grouped, "alone">[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const before = await proxy.child.ask("report");
    const result = await closedLoop(proxy.child.url, clients, make, { seconds });
    demandAllAnswered("keybrake on Firestore", result);
    const after = await proxy.child.ask("report");
    if (round < 0) continue;
    figures.push({
      callsPerSecond: result.calls / result.seconds,
      operations: perCall(operationsOf(before), operationsOf(after), result.calls),
      cpuMsPerCall: (after.cpuMs - before.cpuMs) / result.calls,
    });
  }
  const before = operationsOf(await proxy.child.ask("report"));
  const few = await closedLoop(proxy.child.url, 1, make, { calls: ALONE_CALLS });
  demandAllAnswered("keybrake on Firestore, one client", few);
  return {
    alone: perCall(before, operationsOf(await proxy.child.ask("report")), few.calls),
    callsPerSecond: median(figures.map(({ callsPerSecond }) => callsPerSecond)),
    operations: figures.at(-1)!.operations,
    cpuMsPerCall: median(figures.map(({ cpuMsPerCall }) => cpuMsPerCall)),
  };
}

function operationsOf({ operations }: Report): Operations {
  if (!operations) throw new Error("a process of the Firestore part counts no operations");
  return operations;
}

/** @param issued a key of its own: the other one's calls must not be in its way. */
async function transactionPerCall(place: Place, issued: { vaultKey: string }): Promise<TransactionPerCall> {
  const { clients, options, upstream } = place;
  const directory = join(place.directory, "firestore-transactions");
  await mkdir(directory);
  const env = { ...proxyEnv(upstream, options.adminKey), ...options.env };
  const child = await Child.start("transaction-proxy.ts", { directory, env });
  place.children.push(child);
  const make = paymentRequest(child.url, issued.vaultKey);
  const start = operationsOf(await child.ask("report"));
  const few = await closedLoop(child.url, 1, make, { calls: ALONE_CALLS });
  demandAllAnswered("one transaction per call, one client", few);
  const before = await child.ask("report");
  const until = { seconds: BASELINE_SECONDS, patienceSeconds: PATIENCE_SECONDS };
  const result = await closedLoop(child.url, clients, make, until);
  const after = await child.ask("report");
  // Its transactions go on trying: they must not be in the way of what is measured next.
  await child.stop();
  const counts = { before: before.transactions!, after: after.transactions! };
  const finished = counts.after.finished - counts.before.finished;
  return {
    callsPerSecond: finished / result.seconds,
    result,
    failed: counts.after.failed - counts.before.failed,
    firstFailure: counts.after.firstFailure,
    alone: perCall(start, operationsOf(before), few.calls),
    aloneCallsPerSecond: few.calls / few.seconds,
    crowded: finished === 0 ? null : perCall(operationsOf(before), operationsOf(after), finished),
  };
}

/** @returns calls per second of all processes together, by their count: the ledger alone, without HTTP. */
async function instances({ clients, seconds, rounds, options }: Place): Promise<InstancesFigure[][]> {
  const emulator = options.env.FIRESTORE_EMULATOR_HOST!;
  const figures: InstancesFigure[][] = [];
  for (let round = -1; round < rounds; round += 1) {
    const figure: InstancesFigure[] = [];
    for (const processes of PROCESSES) {
      figure.push(await measureInstances(emulator, { processes, clients, seconds, vendorMs: 0 }));
    }
    if (round >= 0) figures.push(figure);
  }
  return figures;
}
