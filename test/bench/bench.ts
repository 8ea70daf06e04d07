/**
 * `npm run bench`: the proxy's figures of performance, each with its baseline from the same run on the same machine.
 * Everything runs on loopback; what the figures say holds for ratios, not for absolute speed elsewhere.
 */
import { rmSync } from "node:fs";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { availableParallelism, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Child } from "./child.ts";
import { execStart } from "./exec-start.ts";
import { type Figure, figuresText, met } from "./figures.ts";
import { firestore, onEmulator } from "./firestore.ts";
import { latency, longAnswers, type Setting, soak, throughput } from "./parts.ts";
import { profileProxy } from "./profile.ts";
import { type ProxyOptions, startProxy } from "./proxy.ts";
import { startup } from "./startup.ts";

const usage = `npm run bench -- [--seconds 3] [--rounds 5] [--clients 50] [--rate 200] [--soak 300000] [--export 100000]
                 [--starts 15] [--only throughput,latency,soak,export,firestore,startup,exec] [--json] [--check]
npm run bench -- --profile [--seconds 10] [--only firestore]

--seconds   of each round            --soak    calls for the memory figure
--rounds    whose median counts      --export  calls that an export and a proof go over
--starts    of each kind of start
--check     exit 1 when a target is missed
--profile   the proxy's functions by their own CPU time; on SQLite, or on the Firestore emulator
`;

/** Said above the figures, since an emulator's speed is nobody's. */
const emulatorNote =
  "Firestore is the official emulator on this machine: its ratios and its counts of operations are figures, its speed is none\n\n";

const TMPFS = 0x01021994;
const partNames = ["throughput", "latency", "soak", "export", "firestore", "startup", "exec"] as const;

function whole(name: string, text: string): number {
  if (!/^[1-9]\d{0,7}$/.test(text)) throw new Error(`\`--${name} ${text}\`: give a whole number from 1`);
  return Number(text);
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      seconds: { type: "string" },
      rounds: { type: "string", default: "5" },
      clients: { type: "string", default: "50" },
      rate: { type: "string", default: "200" },
      soak: { type: "string", default: "300000" },
      export: { type: "string", default: "100000" },
      starts: { type: "string", default: "15" },
      only: { type: "string", default: partNames.join(",") },
      json: { type: "boolean", default: false },
      check: { type: "boolean", default: false },
      profile: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const only = values.only.split(",");
  const unknown = only.find((name) => !partNames.some((part) => part === name));
  if (unknown !== undefined) throw new Error(`\`--only ${unknown}\`: the parts are ${partNames.join(", ")}`);
  return {
    ...values,
    only: new Set(only),
    seconds: whole("seconds", values.seconds ?? (values.profile ? "10" : "3")),
    rounds: whole("rounds", values.rounds),
    clients: whole("clients", values.clients),
    rate: whole("rate", values.rate),
    soak: whole("soak", values.soak),
    export: whole("export", values.export),
    starts: whole("starts", values.starts),
  };
}

type Options = ReturnType<typeof readOptions>;

async function runParts(options: Options, directory: string, upstream: Child, children: Child[]): Promise<Figure[]> {
  const setting: Setting = { ...options, say: (text) => process.stderr.write(`${text}\n`) };
  const env = { UPSTREAM: upstream.url.origin };
  const proxy = await startProxy(directory, upstream.url);
  children.push(proxy.child);
  const figures: Figure[] = [];
  if (options.only.has("throughput")) {
    const forwardOnly = await Child.start("forward-only.ts", { directory, env });
    children.push(forwardOnly);
    const forwardKept = await Child.start("forward-only.ts", { directory, env: { ...env, KEEP_ALIVE: "1" } });
    children.push(forwardKept);
    const handWritten = await Child.start("hand-written.ts", { directory, env });
    children.push(handWritten);
    figures.push(...(await throughput(setting, proxy, { forwardOnly, forwardKept, handWritten, upstream })));
  }
  if (options.only.has("latency")) figures.push(...(await latency(setting, proxy, upstream, options.rate)));
  if (options.only.has("soak")) figures.push(...(await soak(setting, proxy, options.soak)));
  if (options.only.has("export")) figures.push(...(await longAnswers(setting, proxy, options.export)));
  if (options.only.has("firestore")) {
    figures.push(...(await firestore({ ...setting, directory, upstream: upstream.url })));
  }
  if (options.only.has("startup")) figures.push(...(await startup({ ...setting, directory, starts: options.starts })));
  if (options.only.has("exec")) figures.push(...(await execStart(options.starts, setting.say)));
  return figures;
}

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(usage);
    return;
  }
  const loadBefore = loadavg()[0]!;
  const directory = await mkdtemp(join(tmpdir(), "keybrake-bench-"));
  const children: Child[] = [];
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => {
      // The children end with their channel to this process.
      rmSync(directory, { recursive: true, force: true });
      process.exit(1);
    });
  }
  try {
    const upstream = await Child.start("upstream.ts", { directory });
    children.push(upstream);
    if (options.profile) {
      const profile = (proxy?: ProxyOptions) =>
        profileProxy(directory, upstream.url, options.clients, options.seconds, proxy);
      const onFirestore = options.only.size === 1 && options.only.has("firestore");
      process.stdout.write(await (onFirestore ? onEmulator(directory, profile) : profile()));
      return;
    }
    const figures = await runParts(options, directory, upstream, children);
    const machine = {
      node: process.version,
      cores: availableParallelism(),
      clients: options.clients,
      loadBefore,
      disk: (await statfs(directory)).type === TMPFS ? "memory (tmpfs): commits cost less than on a disk" : "disk",
    };
    if (options.json)
      process.stdout.write(`${JSON.stringify({ machine, figures: figures.map((f) => ({ ...f, met: met(f) })) })}\n`);
    else {
      const { node, cores, clients, disk } = machine;
      const busy = loadBefore > 0.5 ? `; load ${loadBefore.toFixed(1)} before the start: not a quiet machine` : "";
      process.stdout.write(
        `\nNode ${node}, ${cores} cores, ${clients} clients on one key, database on ${disk}${busy}\n\n`,
      );
      if (figures.some(({ name }) => name.startsWith("Firestore"))) process.stdout.write(emulatorNote);
      process.stdout.write(figuresText(figures));
    }
    if (options.check && figures.some((figure) => met(figure) === false)) process.exitCode = 1;
  } finally {
    for (const child of children.reverse()) await child.stop();
    await rm(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
