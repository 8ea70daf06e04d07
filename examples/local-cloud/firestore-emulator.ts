/** The official Firestore emulator: found, started, ended. */
import { execFileSync, spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { createServer, connect as openSocket } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";

export interface Emulator {
  /** `127.0.0.1:PORT`, as FIRESTORE_EMULATOR_HOST takes it. */
  readonly host: string;
  readonly port: number;
  /** Ends the process group; safe to call twice. */
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 60_000;
/** The JVM ends its server in order within a second; it is not waited for longer than this. */
const STOP_TIMEOUT_MS = 3_000;
const MAX_LOG_LINES = 200;

const INSTALL = "install it with `gcloud components install cloud-firestore-emulator`";

const found = find();

/** `null` when the emulator can be started here, else why not and what to do. */
export const emulatorMissing: string | null = "missing" in found ? found.missing : null;

/**
 * Starts an emulator with nothing in it. It ends with this process, however that ends.
 * @param port default: a free one. A port again, to come back where the last one was.
 */
export async function startEmulator(port?: number): Promise<Emulator> {
  if ("missing" in found) throw new Error(found.missing);
  if (port !== undefined) return startOn(found.program, port);
  try {
    return await startOn(found.program, await freePort());
  } catch {
    // Somebody took the free port first, or the machine was too busy: once more.
    return startOn(found.program, await freePort());
  }
}

/**
 * Its program is a shell that starts Java, all in one process group. The outer shell holds on to this process by its standard
 * input: when that closes (even by SIGKILL of this process) it ends the group. What `gcloud beta emulators firestore start`
 * runs is run here without gcloud, which would move it to a group of its own, out of this reach.
 */
const GUARD = '{ "$@"; kill -TERM 0; } & read -r _; kill -TERM 0';

async function startOn(program: string, port: number): Promise<Emulator> {
  const host = `127.0.0.1:${port}`;
  const command = [program, "start", "--host=127.0.0.1", `--port=${port}`];
  const child = spawn("sh", ["-c", GUARD, "sh", ...command], { stdio: ["pipe", "pipe", "pipe"], detached: true });
  const lines: string[] = [];
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async (): Promise<void> => {
    signalGroup(child.pid, "SIGTERM");
    const timer = setTimeout(() => signalGroup(child.pid, "SIGKILL"), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    await closed(port);
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string): void =>
        reject(new Error(`the Firestore emulator ${what}; it wrote:\n${lines.slice(-20).join("\n")}`));
      const timer = setTimeout(() => fail(`was not ready within ${READY_TIMEOUT_MS / 1_000} s`), READY_TIMEOUT_MS);
      child.once("error", (error) => fail(`could not be started: ${error.message}`));
      void ended.then(() => fail("ended before it was ready"));
      const read = (line: string): void => {
        lines.push(line);
        if (lines.length > MAX_LOG_LINES) lines.shift();
        if (!line.includes("Dev App Server is now running")) return;
        clearTimeout(timer);
        resolve();
      };
      createInterface({ input: child.stdout }).on("line", read);
      createInterface({ input: child.stderr }).on("line", read);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  // What started it may end without stopping it.
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as unknown as { unref(): void }).unref();
  return { host, port, stop };
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // The group is gone.
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("the system gave no port");
  return address.port;
}

/** Until nobody listens: a process group may still be ending when its shell is gone. */
async function closed(port: number): Promise<void> {
  const listens = () =>
    new Promise<boolean>((resolve) => {
      const socket = openSocket(port, "127.0.0.1");
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
  for (let tries = 0; tries < 50 && (await listens()); tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function find(): { program: string } | { missing: string } {
  const gcloud = (process.env.PATH ?? "")
    .split(delimiter)
    .map((directory) => join(directory, "gcloud"))
    .find((file) => existsSync(file));
  if (gcloud === undefined) {
    return {
      missing: `the Firestore emulator is not installed: install the gcloud CLI (https://cloud.google.com/sdk/docs/install), then ${INSTALL} (needs Java)`,
    };
  }
  const sdk = dirname(dirname(realpathSync(gcloud)));
  const program = join(sdk, "platform", "cloud-firestore-emulator", "cloud_firestore_emulator");
  if (!existsSync(program)) return { missing: `the Firestore emulator is not installed: ${INSTALL} (needs Java)` };
  try {
    execFileSync("java", ["-version"], { stdio: "ignore", timeout: 20_000 });
    return { program };
  } catch {
    return {
      missing: "the Firestore emulator needs Java, which is not installed: install a JRE 21 (https://adoptium.net/)",
    };
  }
}
