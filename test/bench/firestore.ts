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
import { dollarsPerMillion, listPrice, type Operations, operationsText, perCall } from "./firestore-cost.ts";
import { closedLoop, type LoadResult, paymentRequest } from "./load.ts";
import type { Setting } from "./parts.ts";
import { type ProxyOptions, proxyEnv, type RunningProxy, startProxy } from "./proxy.ts";
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
/** Calls of one client alone: what a transaction costs when nobody is in its way. */
const ALONE_CALLS = 20;
const PROCESSES = [1, 2, 4] as const;

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
  const proxies = [await another(place, 0)];
  place.say("firestore: group commit …");
  const ours = await grouped(place, proxies[0]!);
  place.say(`firestore: one transaction per call, ${BASELINE_SECONDS} s …`);
  const theirs = await transactionPerCall(place, await proxies[0]!.issue("transactions"));
  const speeds = [ours.callsPerSecond];
  for (const count of PROCESSES.slice(1)) {
    place.say(`firestore: ${count} processes on one key …`);
    while (proxies.length < count) proxies.push(await another(place, proxies.length));
    speeds.push(await shared(place, proxies));
  }
  return [...speedFigures(place, ours, theirs, speeds), ...costFigures(ours, theirs)];
}

async function another(place: Place, index: number): Promise<RunningProxy> {
  const directory = join(place.directory, `firestore-${index}`);
  await mkdir(directory);
  const proxy = await startProxy(directory, place.upstream, place.options);
  place.children.push(proxy.child);
  return proxy;
}

interface Grouped {
  callsPerSecond: number;
  /** Of one call at all clients together. */
  operations: Operations;
}

async function grouped({ clients, seconds, rounds }: Place, proxy: RunningProxy): Promise<Grouped> {
  const make = paymentRequest(proxy.child.url, proxy.vaultKey);
  const speeds: number[] = [];
  let operations: Operations | null = null;
  for (let round = -1; round < rounds; round += 1) {
    const before = await operationsOf(proxy.child);
    const result = await closedLoop(proxy.child.url, clients, make, { seconds });
    demandAllAnswered("keybrake on Firestore", result);
    if (round < 0) continue;
    operations = perCall(before, await operationsOf(proxy.child), result.calls);
    speeds.push(result.calls / result.seconds);
  }
  return { callsPerSecond: median(speeds), operations: operations! };
}

async function operationsOf(child: Child): Promise<Operations> {
  const { operations } = await child.ask("report");
  if (!operations) throw new Error(`${child.name} counts no operations`);
  return operations;
}

interface TransactionPerCall {
  /** Calls whose outcome was committed. */
  callsPerSecond: number;
  result: LoadResult;
  failed: number;
  firstFailure: string | null;
  /** Of one call of a client alone, and of one finished call of all clients; `null` when none was. */
  alone: Operations;
  aloneCallsPerSecond: number;
  crowded: Operations | null;
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
  const start = await operationsOf(child);
  const few = await closedLoop(child.url, 1, make, { calls: ALONE_CALLS });
  demandAllAnswered("one transaction per call, one client", few);
  const before = await child.ask("report");
  const until = { seconds: BASELINE_SECONDS, patienceSeconds: PATIENCE_SECONDS };
  const result = await closedLoop(child.url, clients, make, until);
  const after = await child.ask("report");
  const counts = { before: before.transactions!, after: after.transactions! };
  const finished = counts.after.finished - counts.before.finished;
  return {
    callsPerSecond: finished / result.seconds,
    result,
    failed: counts.after.failed - counts.before.failed,
    firstFailure: counts.after.firstFailure,
    alone: perCall(start, before.operations!, few.calls),
    aloneCallsPerSecond: few.calls / few.seconds,
    crowded: finished === 0 ? null : perCall(before.operations!, after.operations!, finished),
  };
}

/** @returns calls per second of all processes together, the clients dealt out among them. */
async function shared({ clients, seconds, rounds }: Place, proxies: readonly RunningProxy[]): Promise<number> {
  const speeds: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const results = await Promise.all(
      proxies.map(({ child, vaultKey }, index) => {
        const share = Math.floor(clients / proxies.length) + (index < clients % proxies.length ? 1 : 0);
        return closedLoop(child.url, share, paymentRequest(child.url, vaultKey), { seconds });
      }),
    );
    for (const result of results) demandAllAnswered(`${proxies.length} processes on one key`, result);
    if (round >= 0) speeds.push(results.reduce((sum, { calls, seconds: took }) => sum + calls / took, 0));
  }
  return median(speeds);
}

function speedFigures(
  { clients }: Place,
  ours: Grouped,
  theirs: TransactionPerCall,
  speeds: readonly number[],
): Figure[] {
  const { callsPerSecond, result, failed, firstFailure } = theirs;
  // Of a baseline that finished nothing at all only a bound is known.
  const floor = Math.max(callsPerSecond, 1 / result.seconds);
  const why = firstFailure === null ? "" : `, the first: ${firstFailure}`;
  return [
    {
      name: "Firestore: group commit ÷ transaction per call",
      value: ours.callsPerSecond / floor,
      unit: "×",
      target: { atLeast: 100 },
      baseline: `the same hop, each reserve and finish its own transaction, ${clients} clients on one key: ${(callsPerSecond * result.seconds).toFixed(0)} calls finished in ${result.seconds.toFixed(0)} s, ${failed} transactions failed${why}`,
    },
    {
      name: "Firestore: the same ÷ one client's transactions",
      value: ours.callsPerSecond / theirs.aloneCallsPerSecond,
      unit: "×",
      target: null,
      baseline: "the transactions of one client after the other, which nobody holds up",
    },
    ...speeds.slice(1).map(
      (speed, index): Figure => ({
        name: `Firestore: ${PROCESSES[index + 1]} processes on one key ÷ one`,
        value: speed / speeds[0]!,
        unit: "×",
        target: null,
        baseline: `the same ${clients} clients dealt out among the processes, which share this machine's cores`,
      }),
    ),
  ];
}

/** The least that a transaction per call may be: key and call read and written, twice. */
const barest: Operations = { reads: 4, writes: 4, deletes: 0, laterDeletes: 1, refusedCommits: 0 };

function costFigures(ours: Grouped, { alone, crowded }: TransactionPerCall): Figure[] {
  const mine = dollarsPerMillion(ours.operations);
  const ratioTo = (naive: Operations): number => mine / dollarsPerMillion(naive);
  const price = `${listPrice.region}, list price of ${listPrice.readOn}, no free tier`;
  const dollars = (operations: Operations): string => `$${dollarsPerMillion(operations).toFixed(2)} a million`;
  return [
    {
      name: "Firestore cost ÷ transaction per call",
      value: ratioTo(alone),
      unit: "×",
      target: { atMost: 0.5 },
      baseline: `${dollars(alone)} with nobody in its way: ${operationsText(alone)}; ${crowded ? `among all clients ${dollars(crowded)}` : "among all clients none finished"}`,
    },
    {
      name: "Firestore cost ÷ the barest transaction",
      value: ratioTo(barest),
      unit: "×",
      target: null,
      baseline: `${dollars(barest)}, reckoned: key and call read and written twice, without chain, object, receipt`,
    },
    {
      name: "Firestore cost of a million calls",
      value: mine,
      unit: "$",
      target: null,
      baseline: `${price}: ${operationsText(ours.operations)} a call`,
    },
  ];
}
