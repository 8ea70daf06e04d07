/** `npm run demo` as a process of its own, in empty directories of its own. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const demo = fileURLToPath(new URL("../../examples/billing-demo/demo.ts", import.meta.url));

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
  /** What is left of its working directory and of the system's temporary one: both were the run's own, and empty. */
  left: string[];
}

export async function run(args: string[], env: Record<string, string> = {}, interruptWhen?: RegExp): Promise<Ended> {
  const { PATH = "" } = process.env;
  const directory = mkdtempSync(join(tmpdir(), "demo-test-"));
  const cwd = join(directory, "cwd");
  const TMPDIR = join(directory, "tmp");
  for (const own of [cwd, TMPDIR]) mkdirSync(own);
  const ended = await new Promise<Omit<Ended, "left">>((resolve) => {
    const options = { cwd, env: { PATH, TMPDIR, ...env }, timeout: 120_000, maxBuffer: 1 << 20 };
    const child = execFile(process.execPath, [demo, ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr });
    });
    let interrupted = false;
    child.stdout?.on("data", (text: string) => {
      if (interrupted || !interruptWhen?.test(text)) return;
      interrupted = child.kill("SIGINT");
    });
  });
  const left = [cwd, TMPDIR].flatMap((own) => readdirSync(own));
  rmSync(directory, { recursive: true, force: true });
  return { ...ended, left };
}
