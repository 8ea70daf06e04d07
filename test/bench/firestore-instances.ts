/**
 * Several instances of the proxy on one hot key: processes that hold the real ledger over Firestore's emulator, without HTTP, so
 * that the figure is the ledger's contention and not that of sockets. Alone: `node test/bench/firestore-instances.ts --help`.
 * Limit: an emulator on this machine shares its cores with the processes, and answers faster than Firestore: ratios between
 * counts of processes say something, figures per second do not.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { Refusal } from "../../service/errors.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { Metrics } from "../../service/metrics/metrics.ts";
import { openFirestoreStore } from "../../service/stores/firestore.ts";
import { ask, budget, ownKey, paid, quiet } from "../ledger/fixture.ts";
import { startEmulator } from "../support/emulator.ts";
import { startFaultProxy } from "../support/fault-proxy.ts";
import { median, percentile } from "./rounds.ts";

export interface Load {
  processes: number;
  /** In all processes together; each reserves, waits for the vendor, settles, and begins again. */
  clients: number;
  seconds: number;
  /** How long the vendor takes, ms. */
  vendorMs: number;
}

export interface InstancesFigure extends Load {
  /** Calls reserved and settled in a second, by all processes. */
  callsPerSecond: number;
  /** Of a reservation, ms. */
  p50Ms: number;
  p99Ms: number;
  worstMs: number;
  /** Reservations answered `ledger_unavailable`, or an outcome that did not land at once. */
  failed: number;
  /** Commits that landed, intents in each, and commits that met another's, for each that landed. */
  commits: number;
  intentsPerCommit: number;
  conflictsPerCommit: number;
  /** Of the instance that made the fewest calls, as a share of an equal part. */
  leastShare: number;
}

interface Task {
  emulator: string;
  project: string;
  keyId: string;
  name: string;
  clients: number;
  seconds: number;
  vendorMs: number;
}

interface Told {
  calls: number;
  failed: number;
  latencies: number[];
  commits: number;
  intents: number;
  conflicts: number;
}

const DATABASE = "keybrake";
const CAP_MICROS = 1_000_000_000_000;
const READY_MS = 60_000;

/** @param emulator `HOST:PORT`. Throws when the sums of the key are not those of the calls. */
export async function measureInstances(emulator: string, load: Load): Promise<InstancesFigure> {
  const { processes, clients, seconds, vendorMs } = load;
  const project = `test-${randomBytes(8).toString("hex")}`;
  const { store, ledger } = await open(emulator, project);
  const { key } = await ledger.issue(budget({ capMicros: CAP_MICROS, expiresAt: Date.now() + 3_600_000 }));
  const task = { emulator, project, keyId: key.keyId, seconds, vendorMs };
  const share = (n: number) => Math.floor(clients / processes) + (n < clients % processes ? 1 : 0);
  const children = Array.from({ length: processes }, (_, n) => start({ ...task, name: `i${n}`, clients: share(n) }));
  try {
    await Promise.all(children.map((child) => heard(child)));
    for (const child of children) child.send("go");
    const told = (await Promise.all(children.map((child) => heard(child)))) as Told[];
    const sum = (of: (each: Told) => number) => told.reduce((total, each) => total + of(each), 0);
    const [calls, commits, failed] = [
      sum((each) => each.calls),
      sum((each) => each.commits),
      sum((each) => each.failed),
    ];
    const latencies = told.flatMap((each) => each.latencies);
    const { spentMicros } = (await ledger.fresh(key.keyId))!;
    if (failed === 0 && spentMicros !== calls) throw new Error(`${calls} calls were made, the key has ${spentMicros}`);
    return {
      ...load,
      callsPerSecond: calls / seconds,
      p50Ms: percentile(latencies, 0.5),
      p99Ms: percentile(latencies, 0.99),
      worstMs: percentile(latencies, 1),
      failed,
      commits,
      intentsPerCommit: sum((each) => each.intents) / commits,
      conflictsPerCommit: sum((each) => each.conflicts) / commits,
      leastShare: Math.min(...told.map((each) => each.calls)) / (calls / processes),
    };
  } finally {
    for (const child of children) child.kill("SIGKILL");
    await store.close();
  }
}

function start(task: Task): ChildProcess {
  return fork(fileURLToPath(import.meta.url), [JSON.stringify(task)], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: { PATH: process.env.PATH },
  });
}

async function heard(child: ChildProcess): Promise<unknown> {
  const ended = once(child, "exit").then(([code]) => {
    throw new Error(`an instance ended with ${String(code)}`);
  });
  const [message] = await Promise.race([once(child, "message", { signal: AbortSignal.timeout(READY_MS) }), ended]);
  return message;
}

async function open(emulator: string, project: string, metrics?: Metrics) {
  const store = await openFirestoreStore({ project, database: DATABASE, emulator, random: systemRandom });
  return { store, ledger: openLedger({ store, clock: systemClock, random: systemRandom, log: quiet, metrics }) };
}

/** One instance: tells that it is ready, works when it is told to, tells what it did. */
async function beInstance(task: Task): Promise<void> {
  const told: Told = { calls: 0, failed: 0, latencies: [], commits: 0, intents: 0, conflicts: 0 };
  const { store, ledger } = await open(task.emulator, task.project, {
    ended: () => {},
    uncommitted: () => {},
    repeated: () => {
      told.conflicts += 1;
    },
    committed: ({ calls }) => {
      told.commits += 1;
      told.intents += calls;
    },
  });
  await ledger.fresh(task.keyId);
  process.send!("ready");
  await once(process, "message");
  const end = performance.now() + task.seconds * 1_000;
  let n = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const request = ask({ quoteMicros: 1, clientKey: ownKey(`${task.name} ${n}`) });
      n += 1;
      try {
        const begun = performance.now();
        const sent = await ledger.reserve(task.keyId, request);
        told.latencies.push(performance.now() - begun);
        if (task.vendorMs > 0) await delay(task.vendorMs);
        await ledger.finish(task.keyId, sent.call.id, 1, paid(1));
        told.calls += 1;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        told.failed += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: task.clients }, client));
  await new Promise<void>((resolve) => process.send!(told, () => resolve()));
  await store.close();
  process.disconnect();
}

const usage = `node test/bench/firestore-instances.ts [--processes 1,2,4] [--clients 50] [--seconds 3] [--rounds 3] [--vendor-ms 0]
                 [--line-ms 0] [--emulator HOST:PORT] [--json]

--line-ms   all bytes between an instance and the emulator come so much later, each way: nearer to a network than loopback is`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      processes: { type: "string", default: "1,2,4" },
      clients: { type: "string", default: "50" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "3" },
      "vendor-ms": { type: "string", default: "0" },
      "line-ms": { type: "string", default: "0" },
      emulator: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const started = values.emulator === undefined ? await startEmulator() : null;
  const line = await startFaultProxy(values.emulator ?? started!.host, { latencyMs: Number(values["line-ms"]) });
  const emulator = values["line-ms"] === "0" ? (values.emulator ?? started!.host) : line.host;
  const load = {
    clients: Number(values.clients),
    seconds: Number(values.seconds),
    vendorMs: Number(values["vendor-ms"]),
  };
  const counts = values.processes.split(",").map(Number);
  const rounds: InstancesFigure[] = [];
  try {
    // One more before, for the emulator's compiler to warm up.
    await measureInstances(emulator, { ...load, processes: 1 });
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const processes of counts) rounds.push(await measureInstances(emulator, { ...load, processes }));
    }
  } finally {
    await line.stop();
    await started?.stop();
  }
  const medians = counts.map((processes) => medianFigure(rounds.filter((figure) => figure.processes === processes)));
  if (values.json) console.log(JSON.stringify({ figures: medians, rounds }));
  else console.table(medians);
}

export function medianFigure(figures: readonly InstancesFigure[]): Record<keyof InstancesFigure, number> {
  const names = Object.keys(figures[0]!) as (keyof InstancesFigure)[];
  const rounded = (name: keyof InstancesFigure) => Math.round(median(figures.map((each) => each[name])) * 100) / 100;
  return Object.fromEntries(names.map((name) => [name, rounded(name)])) as Record<keyof InstancesFigure, number>;
}

if (import.meta.main) {
  const task = process.argv[2];
  if (task?.startsWith("{")) await beInstance(JSON.parse(task) as Task);
  else await main();
}
