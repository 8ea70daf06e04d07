/**
 * How long `keybrake exec` takes to become its command, beyond the start of the bare interpreter: identity token and claim included, both
 * answered at once on loopback. The contenders take turns, and the fastest start of each counts: what else runs only adds. `node test/bench/exec-start.ts`.
 */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { implementations } from "../exec/implementations.ts";
import { claimed, serve, serveMetadata } from "../exec/loopback.ts";
import { type Figure, figuresText } from "./figures.ts";

const bin = fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url));

/** @param starts of each contender. */
export async function execStart(starts: number, say: (text: string) => void): Promise<Figure[]> {
  say(`exec: ${starts} starts of each …`);
  const metadata = await serveMetadata("bench@my-project.iam.gserviceaccount.com");
  const proxy = await serve(() => ({ status: 200, body: claimed }));
  const env = {
    PATH: process.env.PATH ?? "",
    KEYBRAKE_URL: proxy.url,
    KEYBRAKE_AUDIENCE: "bench",
    GCE_METADATA_HOST: metadata.host,
    CLOUD_RUN_JOB: "bench",
    CLOUD_RUN_EXECUTION: "bench-00001",
    CLOUD_RUN_TASK_INDEX: "0",
    CLOUD_RUN_TASK_ATTEMPT: "0",
  };
  const python = implementations.find(({ name, missing }) => name.endsWith(".py") && missing === null)?.start;
  const contenders: Record<string, readonly string[]> = {
    true: ["true"],
    node: [process.execPath, "-e", ""],
    "node, exec": [process.execPath, bin, "exec", "--", "true"],
    "node, another command": [process.execPath, bin, "--version"],
    ...(python && { python: [python[0], "-c", ""], "python, exec": [...python, "--", "true"] }),
  };
  const took: Record<string, number[]> = {};
  try {
    for (const command of Object.values(contenders)) await timed(command, env);
    for (let n = 0; n < starts; n += 1) {
      for (const [name, command] of Object.entries(contenders)) {
        took[name] = [...(took[name] ?? []), await timed(command, env)];
      }
    }
  } finally {
    await Promise.all([metadata.close(), proxy.close()]);
  }
  const fastest = (name: string) => Math.min(...took[name]!);
  const beyond = (name: string, bare: string) => fastest(name) - fastest(bare) - fastest("true");
  const text = (name: string) => `${fastest(name).toFixed(0)} ms of ${name} alone`;
  return [
    {
      name: "exec beyond Node's start",
      value: beyond("node, exec", "node"),
      unit: "ms",
      target: { below: 50 },
      baseline: `${text("node")}; ${fastest("node, another command").toFixed(0)} ms of \`keybrake --version\``,
    },
    {
      name: "exec / Node's start",
      value: fastest("node, exec") / fastest("node"),
      unit: "×",
      target: null,
      baseline: text("node"),
    },
    ...(python
      ? [
          {
            name: "keybrake_exec.py beyond Python's start",
            value: beyond("python, exec", "python"),
            unit: "ms",
            target: null,
            baseline: text("python"),
          },
        ]
      : []),
  ];
}

async function timed([program, ...args]: readonly string[], env: Record<string, string>): Promise<number> {
  const startedAt = performance.now();
  const child = spawn(program!, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}`);
  return performance.now() - startedAt;
}

if (import.meta.main) {
  const figures = await execStart(Number(process.argv[2] ?? 30), (text) => process.stderr.write(`${text}\n`));
  process.stdout.write(figuresText(figures));
}
