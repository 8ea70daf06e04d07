/**
 * How long a start takes, from spawning the process to its listening line, and what it holds in memory when idle. The contenders
 * take turns, so that what else the machine does falls on all of them; the median counts.
 */
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { bundle } from "../../service/bundle.ts";
import { emulatorMissing, startEmulator } from "../support/emulator.ts";
import type { Figure } from "./figures.ts";
import { median } from "./rounds.ts";

export interface StartSetting {
  /** Starts of each contender. */
  starts: number;
  directory: string;
  say(text: string): void;
}

interface Contender {
  name: string;
  args: string[];
  env: Record<string, string>;
  ms: number[];
  mib: number[];
}

/** The control plane loads behind the listening line; memory is read when it has. */
const IDLE_MS = 700;
const LISTENS_MS = 30_000;

export async function startup({ starts, directory, say }: StartSetting): Promise<Figure[]> {
  say(`startup: ${starts} starts of each …`);
  const bundled = join(directory, "bundle");
  await bundle(bundled);
  const sources = fileURLToPath(new URL("../../service/main.ts", import.meta.url));
  const emulator = emulatorMissing === null ? await startEmulator() : null;
  if (!emulator) say(`startup: without Firestore, for ${emulatorMissing}`);
  const contender = (name: string, args: string[], env: Record<string, string>): Contender => ({
    ...{ name, args, env, ms: [], mib: [] },
  });
  const sqlite = { KEYBRAKE_STORE: `sqlite:${join(directory, "startup.db")}` };
  const firestore = {
    KEYBRAKE_STORE: "firestore:bench-startup/keybrake",
    KEYBRAKE_PEPPER: `file:${join(directory, "startup.pepper")}`,
    FIRESTORE_EMULATOR_HOST: emulator?.host ?? "",
  };
  const node = contender("node alone", ["-e", `console.log('"listening"');setTimeout(()=>{},60000)`], {});
  const onSqlite = contender("bundle, SQLite", [join(bundled, "main.mjs")], sqlite);
  const onFirestore = contender("bundle, Firestore", [join(bundled, "main.mjs")], firestore);
  const fromSources = contender("sources, SQLite", [sources], sqlite);
  const contenders = [node, fromSources, onSqlite, ...(emulator ? [onFirestore] : [])];
  try {
    // The first start of each makes what is made once (pepper, database), and is not counted.
    for (const each of contenders) await startOnce(each);
    for (const each of contenders) each.ms.length = each.mib.length = 0;
    for (let n = 0; n < starts; n += 1) for (const each of contenders) await startOnce(each);
  } finally {
    await emulator?.stop();
  }
  const against = `${median(node.ms).toFixed(0)} ms of node alone; ${median(fromSources.ms).toFixed(0)} ms from sources`;
  return contenders.slice(2).flatMap((each) => figuresOf(each, against));
}

function figuresOf({ name, ms, mib }: Contender, against: string): Figure[] {
  return [
    { name: `start, ${name}`, value: median(ms), unit: "ms", target: { below: 400 }, baseline: against },
    { name: `idle memory, ${name}`, value: median(mib), unit: "MiB", target: { below: 150 }, baseline: "RSS" },
  ];
}

async function startOnce({ name, args, env, ms, mib }: Contender): Promise<void> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, args, {
    env: {
      PATH: process.env.PATH ?? "",
      PORT: "0",
      KEYBRAKE_ADMIN_KEY: "bench-startup-admin-key-0123456789",
      KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:STRIPE_SECRET_KEY","upstream":"http://127.0.0.1:9"}}',
      STRIPE_SECRET_KEY: "sk_test_bench_startup",
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  try {
    let said = "";
    child.stderr.on("data", (text: Buffer) => {
      said += text;
    });
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${name} did not listen: ${said}`)), LISTENS_MS);
      child.stdout.on("data", (text: Buffer) => {
        if (!text.includes('"listening"')) return;
        clearTimeout(late);
        resolve();
      });
      void ended.then(() => reject(new Error(`${name} ended: ${said}`)));
    });
    ms.push(performance.now() - startedAt);
    await delay(IDLE_MS);
    const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
    mib.push(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN) / 1024);
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}
