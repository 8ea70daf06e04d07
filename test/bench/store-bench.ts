/**
 * Goal: does the embedded store serve the proxy better in this thread or in a worker thread? Method: the ledger's own
 * commits (12 reserves and the 12 settles of the commit before, with object documents, receipts of 2 KiB and a chain
 * page), one commit in flight per key, on a file; with one key and with four. Both ways run in turns in this process, and
 * what counts is their ratio; CPU time and bytes per call also compare two versions of the store on a busy machine.
 * Limit: no HTTP and no ledger run beside it, so the worker's core is always free.
 *
 * `node test/bench/store-bench.ts [--json] [--seconds N] [--group N]`
 */
import { hash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { systemClock } from "../../service/clock.ts";
import type { Call, ChainPage } from "../../service/ledger/types.ts";
import { openSqliteStore } from "../../service/stores/sqlite.ts";
import type { Store, Write } from "../../service/stores/store.ts";
import { create, KeyWriter, put, sampleCall, samplePage } from "../stores/samples.ts";

const SEALED = "c2VhbGVk".repeat(256);

interface Figures {
  callsPerSecond: number;
  /** CPU time of the main thread per call, µs: encoding and sending, and in this thread also SQLite. */
  mainMicrosPerCall: number;
  /** CPU time of all threads per call, µs, the kernel's on their behalf included. */
  allMicrosPerCall: number;
  /** What the kernel was given to write to the disk per call: WAL and checkpoints. 0 where it does not count that. */
  writtenKibPerCall: number;
  commitMillisP50: number;
  commitMillisP99: number;
  /** Longest time that the event loop did not turn. */
  loopBlockedMillis: number;
}

const settled: Partial<Call> = { state: "settled", reservedMicros: 0, costMicros: 40_000_000, status: 200 };

/** Like the ledger's commits: what the last one reserved is settled while the next is reserved. */
async function writeKey(store: Store, keyId: string, until: number, latencies: number[]): Promise<number> {
  const key = new KeyWriter(store, keyId);
  await key.write();
  let previous: Call[] = [];
  let calls = 0;
  let n = 1;
  while (performance.now() < until) {
    const group = Array.from({ length: groupSize }, (_, index) => callOf(keyId, calls + index));
    const writes: Write[] = previous.flatMap((call) => [
      put({ ...call, ...settled }),
      { op: "put", id: `o:${spread(`object of ${call.id}`)}`, doc: { callId: call.id } },
      { op: "create", id: `r:${call.id}`, doc: { sealed: SEALED, expiresAt: Date.now() } },
    ]);
    writes.push(...group.map(create));
    const page: ChainPage = samplePage(keyId, n, groupSize + previous.length);
    const begun = performance.now();
    await key.write(writes, page);
    latencies.push(performance.now() - begun);
    n += page.records.length;
    calls += groupSize;
    previous = group;
  }
  return calls;
}

function callOf(keyId: string, index: number): Call {
  const id = `call_${spread(`${keyId} ${index}`)}`;
  return sampleCall(id, { keyId, task: index % 500, label: `label-of-${keyId}` });
}

/** Random like the real ids, so that their indexes are written everywhere. */
function spread(text: string): string {
  return hash("sha256", text).slice(0, 32);
}

async function run(path: string, worker: boolean, keys: number, milliseconds: number): Promise<Figures> {
  const store = await openSqliteStore({ path, worker, clock: systemClock });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const cpu = process.threadCpuUsage();
  const allCpu = process.cpuUsage();
  const written = process.resourceUsage().fsWrite;
  const begun = performance.now();
  const latencies: number[] = [];
  const ids = Array.from({ length: keys }, (_, index) => `k${index}-${Math.round(begun)}`);
  const counts = await Promise.all(ids.map((id) => writeKey(store, id, begun + milliseconds, latencies)));
  const seconds = (performance.now() - begun) / 1_000;
  const used = process.threadCpuUsage(cpu);
  const allUsed = process.cpuUsage(allCpu);
  // In blocks of 512 bytes (getrusage, Linux).
  const writtenKib = (process.resourceUsage().fsWrite - written) / 2;
  delay.disable();
  await store.close();
  const calls = counts.reduce((sum, count) => sum + count, 0);
  latencies.sort((a, b) => a - b);
  const at = (part: number) => latencies[Math.floor(latencies.length * part)] ?? 0;
  return {
    callsPerSecond: calls / seconds,
    mainMicrosPerCall: (used.user + used.system) / calls,
    allMicrosPerCall: (allUsed.user + allUsed.system) / calls,
    writtenKibPerCall: writtenKib / calls,
    commitMillisP50: at(0.5),
    commitMillisP99: at(0.99),
    loopBlockedMillis: delay.max / 1e6,
  };
}

/** A listing that finds nothing among all the rows there are, again and again, beside the commits of one key. */
async function runWithListing(path: string, worker: boolean, milliseconds: number) {
  const store = await openSqliteStore({ path, worker, clock: systemClock });
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const latencies: number[] = [];
  const until = performance.now() + milliseconds;
  let listings = 0;
  const list = async () => {
    for (; performance.now() < until; listings += 1) await store.listCalls({ vendor: "none" }, 100, null);
  };
  delay.enable();
  const keyId = `listed-${Math.round(until)}`;
  const [calls] = await Promise.all([writeKey(store, keyId, until, latencies), list()]);
  delay.disable();
  await store.close();
  latencies.sort((a, b) => a - b);
  return {
    callsPerSecond: Math.round(calls / (milliseconds / 1_000)),
    listings,
    commitMillisP99: Math.round(latencies[Math.floor(latencies.length * 0.99)] ?? 0),
    loopBlockedMillis: Math.round(delay.max / 1e6),
  };
}

function median(runs: Figures[]): Figures {
  const of = (name: keyof Figures) => {
    const sorted = runs.map((figures) => figures[name]).sort((a, b) => a - b);
    return Math.round((sorted[Math.floor(sorted.length / 2)] ?? 0) * 100) / 100;
  };
  return {
    callsPerSecond: of("callsPerSecond"),
    mainMicrosPerCall: of("mainMicrosPerCall"),
    allMicrosPerCall: of("allMicrosPerCall"),
    writtenKibPerCall: of("writtenKibPerCall"),
    commitMillisP50: of("commitMillisP50"),
    commitMillisP99: of("commitMillisP99"),
    loopBlockedMillis: of("loopBlockedMillis"),
  };
}

async function compare(folder: string, keys: number, milliseconds: number) {
  const local: Figures[] = [];
  const worker: Figures[] = [];
  for (let round = 0; round < 3; round += 1) {
    local.push(await run(join(folder, `local-${keys}.db`), false, keys, milliseconds));
    worker.push(await run(join(folder, `worker-${keys}.db`), true, keys, milliseconds));
  }
  const [here, there] = [median(local), median(worker)];
  return {
    keys,
    here,
    worker: there,
    workerToHere: {
      throughput: Math.round((there.callsPerSecond / here.callsPerSecond) * 100) / 100,
      mainCpu: Math.round((there.mainMicrosPerCall / here.mainMicrosPerCall) * 100) / 100,
    },
  };
}

const { values } = parseArgs({
  options: {
    json: { type: "boolean" },
    seconds: { type: "string", default: "2" },
    group: { type: "string", default: "12" },
  },
});
/** Calls reserved, and settled, in one commit. */
const groupSize = Number(values.group);
const folder = mkdtempSync(join(tmpdir(), "keybrake-store-bench-"));
try {
  const results = [];
  for (const keys of [1, 4]) results.push(await compare(folder, keys, Number(values.seconds) * 1_000));
  const beside = {
    here: await runWithListing(join(folder, "local-1.db"), false, Number(values.seconds) * 1_000),
    worker: await runWithListing(join(folder, "worker-1.db"), true, Number(values.seconds) * 1_000),
  };
  if (values.json) {
    console.log(JSON.stringify({ results, besideListing: beside }));
  } else {
    for (const { keys, here, worker, workerToHere } of results) {
      const { throughput, mainCpu } = workerToHere;
      console.log(`${keys} key(s) · worker thread : this thread = ${throughput} × calls/s, ${mainCpu} × main CPU`);
      console.table({ here, worker });
    }
    console.log("beside a listing that walks all rows");
    console.table(beside);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
