/** Where the proxy's time goes: V8's sampling profiler over a closed loop, functions by their own time. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { closedLoop, paymentRequest } from "./load.ts";
import { startProxy } from "./proxy.ts";
import { demandAllAnswered } from "./rounds.ts";

interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  /** µs between two samples. */
  timeDeltas: number[];
}

const LINES = 25;

function selfTimes(profile: CpuProfile): Map<string, number> {
  const names = new Map(
    profile.nodes.map(({ id, callFrame }) => {
      const place = callFrame.url.replace(/^.*\/(?=(?:service|node_modules)\/)/, "");
      const line = callFrame.url === "" ? "" : `  ${place}:${callFrame.lineNumber + 1}`;
      return [id, `${callFrame.functionName || "(anonymous)"}${line}`];
    }),
  );
  const times = new Map<string, number>();
  profile.samples.forEach((id, index) => {
    const name = names.get(id) ?? "?";
    times.set(name, (times.get(name) ?? 0) + (profile.timeDeltas[index] ?? 0));
  });
  return times;
}

function topText(file: string, profile: CpuProfile): string {
  const times = selfTimes(profile);
  const total = [...times.values()].reduce((sum, time) => sum + time, 0);
  const lines = [...times]
    .sort(([, a], [, b]) => b - a)
    .slice(0, LINES)
    .map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}\n`);
  return `${file}: ${(total / 1e6).toFixed(1)} s sampled\n${lines.join("")}`;
}

/** @returns one list for each thread of the proxy. The profiles stay in `directory`. */
export async function profileProxy(
  directory: string,
  upstream: URL,
  clients: number,
  seconds: number,
): Promise<string> {
  const proxy = await startProxy(directory, upstream, ["--cpu-prof", `--cpu-prof-dir=${directory}`]);
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
