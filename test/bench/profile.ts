/** Where the proxy's time goes: V8's sampling profiler over a closed loop, functions by their own time. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { closedLoop, paymentRequest } from "./load.ts";
import { type ProxyOptions, startProxy } from "./proxy.ts";
import { demandAllAnswered } from "./rounds.ts";

interface ProfileNode {
  id: number;
  callFrame: { functionName: string; url: string; lineNumber: number };
  children?: number[];
}

interface CpuProfile {
  nodes: ProfileNode[];
  samples: number[];
  /** µs between two samples. */
  timeDeltas: number[];
}

const LINES = 25;

function nameOf({ callFrame }: ProfileNode): string {
  const place = callFrame.url.replace(/^.*\/(?=(?:service|node_modules)\/)/, "");
  const line = callFrame.url === "" ? "" : `  ${place}:${callFrame.lineNumber + 1}`;
  return `${callFrame.functionName || "(anonymous)"}${line}`;
}

/** For each node the nearest function of the service above it, or its own name where there is none. */
function ownersOf(nodes: readonly ProfileNode[]): Map<number, string> {
  const parents = new Map<number, ProfileNode>();
  for (const node of nodes) for (const child of node.children ?? []) parents.set(child, node);
  const owners = new Map<number, string>();
  for (const node of nodes) {
    let at: ProfileNode | undefined = node;
    while (at && !at.callFrame.url.includes("/service/")) at = parents.get(at.id);
    owners.set(node.id, nameOf(at ?? node));
  }
  return owners;
}

/** µs by name. */
function timesBy({ samples, timeDeltas }: CpuProfile, names: ReadonlyMap<number, string>): Map<string, number> {
  const times = new Map<string, number>();
  samples.forEach((id, index) => {
    const name = names.get(id) ?? "?";
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0));
  });
  return times;
}

function linesOf(times: ReadonlyMap<string, number>): string {
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  return [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LINES)
    .map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}\n`)
    .join("");
}

function topText(file: string, profile: CpuProfile): string {
  const own = new Map(profile.nodes.map((node) => [node.id, nameOf(node)]));
  const seconds = profile.timeDeltas.reduce((sum, delta) => sum + delta, 0) / 1e6;
  return [
    `${file}: ${seconds.toFixed(1)} s sampled\n`,
    "by the function's own time\n",
    linesOf(timesBy(profile, own)),
    "\nby the service's function in which it was spent, what it called outside the service included\n",
    linesOf(timesBy(profile, ownersOf(profile.nodes))),
  ].join("");
}

/** @returns one list for each thread of the proxy. The profiles stay in `directory`. */
export async function profileProxy(
  directory: string,
  upstream: URL,
  clients: number,
  seconds: number,
  options: ProxyOptions = {},
): Promise<string> {
  const execArgv = ["--cpu-prof", `--cpu-prof-dir=${directory}`];
  const proxy = await startProxy(directory, upstream, { ...options, execArgv });
  const make = paymentRequest(proxy.child.url, proxy.vaultKey);
  const result = await closedLoop(proxy.child.url, clients, make, { seconds });
  const code = await proxy.child.stop();
  demandAllAnswered("keybrake", result);
  if (code !== 0) throw new Error(`the proxy ended with ${code} after SIGTERM, so it wrote no profile`);
  const files = (await readdir(directory)).filter((file) => file.endsWith(".cpuprofile"));
  const texts = await Promise.all(
    files.map(async (file) => topText(file, JSON.parse(await readFile(join(directory, file), "utf8")) as CpuProfile)),
  );
  return `${(result.calls / result.seconds).toFixed(0)} calls/s under the profiler\n\n${texts.join("\n")}`;
}
