/** The parts of the bench, each a list of figures. */
import type { Child } from "./child.ts";
import type { Figure } from "./figures.ts";
import { closedLoop, openLoop, paymentRequest } from "./load.ts";
import type { RunningProxy } from "./proxy.ts";
import { type Contender, demandAllAnswered, median, percentile, type Round, ratio, runRounds } from "./rounds.ts";

export interface Setting {
  clients: number;
  seconds: number;
  rounds: number;
  /** Words about what goes on, for whoever waits. */
  say(text: string): void;
}

/** What the proxy is compared with, and the upstream behind them all. */
export interface Baselines {
  forwardOnly: Child;
  forwardKept: Child;
  handWritten: Child;
  upstream: Child;
}

export async function throughput(
  setting: Setting,
  proxy: RunningProxy,
  { forwardOnly, forwardKept, handWritten, upstream }: Baselines,
): Promise<Figure[]> {
  setting.say("throughput: rounds of the proxy and its baselines …");
  const contender = (name: string, child: Child, credential = "vk_bench"): Contender => ({
    name,
    child,
    make: paymentRequest(child.url, credential),
  });
  const contenders = [
    contender("keybrake", proxy.child, proxy.vaultKey),
    contender("http-proxy-3", forwardOnly),
    contender("http-proxy-3, kept", forwardKept),
    contender("express + undici", handWritten),
    contender("direct", upstream),
  ];
  const rounds = await runRounds(contenders, setting.clients, setting.seconds, setting.rounds);
  const middle = (name: string, of: keyof Round): number => median(rounds.get(name)!.map((round) => round[of]));
  return [
    {
      name: "throughput ÷ http-proxy-3",
      value: ratio(rounds, "callsPerSecond", "keybrake", "http-proxy-3"),
      unit: "×",
      target: { atLeast: 1.2 },
      baseline: "http-proxy-3 as it comes (a connection per call), no key and no ledger",
    },
    {
      name: "throughput ÷ the same, kept",
      value: ratio(rounds, "callsPerSecond", "keybrake", "http-proxy-3, kept"),
      unit: "×",
      target: null,
      baseline: "http-proxy-3 with an agent that keeps connections",
    },
    {
      name: "throughput ÷ hand-written hop",
      value: ratio(rounds, "callsPerSecond", "keybrake", "express + undici"),
      unit: "×",
      target: { atLeast: 0.66 },
      baseline: "Express 5 + undici swapping the credential, no ledger",
    },
    {
      name: "CPU time per call ÷ hand-written hop",
      value: ratio(rounds, "cpuMsPerCall", "keybrake", "express + undici"),
      unit: "×",
      target: null,
      baseline: "all threads of either process",
    },
    ...contenders.map(({ name }) => ({
      name: `  ${name}`,
      value: middle(name, "callsPerSecond"),
      unit: "calls/s",
      target: null,
      baseline: `its process: ${middle(name, "cores").toFixed(2)} cores, ${middle(name, "cpuMsPerCall").toFixed(3)} ms a call${name === "direct" ? "; the most that load generator and upstream can do" : ""}`,
    })),
  ];
}

/** Added latency: the difference of the same percentile through the proxy and straight to the upstream. */
export async function latency(setting: Setting, proxy: RunningProxy, upstream: Child, rate: number): Promise<Figure[]> {
  setting.say(`latency: ${rate} calls/s, open loop …`);
  const through: number[] = [];
  const straight: number[] = [];
  const added = { p50: [] as number[], p99: [] as number[] };
  for (let round = 0; round < setting.rounds; round += 1) {
    const measure = async (name: string, child: Child, credential: string): Promise<number[]> => {
      const make = paymentRequest(child.url, credential);
      const result = await openLoop(child.url, setting.clients, make, rate, setting.seconds);
      demandAllAnswered(name, result);
      return result.latencies;
    };
    const a = await measure("keybrake", proxy.child, proxy.vaultKey);
    const b = await measure("direct", upstream, "vk_bench");
    added.p50.push(percentile(a, 0.5) - percentile(b, 0.5));
    added.p99.push(percentile(a, 0.99) - percentile(b, 0.99));
    through.push(...a);
    straight.push(...b);
  }
  const line = (share: number): string =>
    `${percentile(through, share).toFixed(2)} ms through the proxy, ${percentile(straight, share).toFixed(2)} ms straight to the upstream`;
  return [
    {
      name: `added latency p50 at ${rate}/s`,
      value: median(added.p50),
      unit: "ms",
      target: { below: 2 },
      baseline: line(0.5),
    },
    {
      name: `added latency p99 at ${rate}/s`,
      value: median(added.p99),
      unit: "ms",
      target: { below: 10 },
      baseline: line(0.99),
    },
  ];
}

/** RSS settles while heaps and caches fill; what is compared lies behind that. */
const SETTLING_CALLS = 30_000;
const RSS_SAMPLES = 10;
const MIB = 1024 * 1024;

export async function soak(setting: Setting, proxy: RunningProxy, calls: number): Promise<Figure[]> {
  setting.say(`memory: ${calls} calls …`);
  const make = paymentRequest(proxy.child.url, proxy.vaultKey);
  const run = async (count: number): Promise<number> => {
    demandAllAnswered("keybrake", await closedLoop(proxy.child.url, setting.clients, make, { calls: count }));
    return (await proxy.child.ask("report")).rssBytes / MIB;
  };
  // Collected at the two ends only: in between the process is left to itself, as in production.
  const heap = async (): Promise<number> => (await proxy.child.ask("collect")).heapBytes / MIB;
  const before = await run(SETTLING_CALLS);
  const heapBefore = await heap();
  const samples: number[] = [];
  for (let sample = 0; sample < RSS_SAMPLES; sample += 1) samples.push(await run(Math.ceil(calls / RSS_SAMPLES)));
  const heapAfter = await heap();
  const growth = (to: number, from: number): number => (to / from) * 100 - 100;
  return [
    {
      name: `RSS growth over ${calls} calls`,
      value: growth(median(samples.slice(-3)), before),
      unit: "%",
      target: { below: 25 },
      baseline: `${before.toFixed(0)} MiB after ${SETTLING_CALLS} calls; then ${samples.map((rss) => rss.toFixed(0)).join(" ")}`,
    },
    {
      name: `heap growth over ${calls} calls`,
      value: growth(heapAfter, heapBefore),
      unit: "%",
      target: null,
      baseline: `${heapBefore.toFixed(1)} MiB → ${heapAfter.toFixed(1)} MiB, main thread, garbage collected`,
    },
  ];
}

/** Light load meanwhile, so that somebody is there to be held up. */
const BACKGROUND_RATE = 50;

export async function longAnswers(setting: Setting, proxy: RunningProxy, calls: number): Promise<Figure[]> {
  const key = await proxy.get(`/vault/keys/${proxy.keyId}`);
  const have = (key.counts as { calls: number }).calls;
  const make = paymentRequest(proxy.child.url, proxy.vaultKey);
  if (have < calls) {
    setting.say(`long answers: ${calls - have} calls first, so that the key has ${calls} …`);
    const result = await closedLoop(proxy.child.url, setting.clients, make, { calls: calls - have });
    demandAllAnswered("keybrake", result);
  }
  setting.say("long answers: export and proof …");
  const watch = async (work: () => Promise<number>): Promise<{ delayMs: number; bytes: number; seconds: number }> => {
    await proxy.child.ask("watch");
    const start = performance.now();
    const stop = new AbortController();
    const background = openLoop(proxy.child.url, 8, make, BACKGROUND_RATE, 3_600, stop.signal);
    const bytes = await work();
    stop.abort();
    demandAllAnswered("keybrake", await background);
    const { loopDelayMs } = await proxy.child.ask("report");
    return { delayMs: loopDelayMs, bytes, seconds: (performance.now() - start) / 1000 };
  };
  const quiet = await watch(() => new Promise((resolve) => setTimeout(resolve, 3000, 0)));
  const csv = await watch(() => proxy.drain("/audit?label=bench", "text/csv"));
  const ndjson = await watch(() => proxy.drain("/audit?label=bench", "application/x-ndjson"));
  const proof = await watch(() => proxy.drain(`/vault/keys/${proxy.keyId}/proof`, "application/x-ndjson"));
  const figure = (name: string, seen: typeof csv): Figure => ({
    name: `event loop delay, ${name}`,
    value: seen.delayMs,
    unit: "ms",
    target: { below: 50 },
    baseline: `${(seen.bytes / MIB).toFixed(1)} MiB in ${seen.seconds.toFixed(1)} s; ${quiet.delayMs.toFixed(1)} ms without`,
  });
  return [figure("CSV export", csv), figure("NDJSON export", ndjson), figure("proof", proof)];
}
