/** The proxy as a person would start it, `keybrake serve`, and its control plane as a person would call it. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { UsageError } from "./options.ts";

export interface DemoProxy {
  url: string;
  /** One call of the control plane as the operator. Rejects on any status but 2xx. */
  admin(method: string, path: string, body?: unknown): Promise<Record<string, unknown>>;
  stop(): Promise<void>;
}

/** Exit code of `keybrake serve` for a variable that is wrong; it says on stderr which one. */
const WRONG_SETTINGS = 2;
const START_TIMEOUT_MS = 20_000;
/** A drain that takes longer is a fault of the proxy: the demo then says so and kills it. */
const STOP_TIMEOUT_MS = 15_000;

/** @param idToken what the operator shows at each call; without it, an admin key made for this run. */
export async function startProxy(env: Record<string, string>, idToken?: () => string): Promise<DemoProxy> {
  const adminKey = randomBytes(32).toString("hex");
  const bearer = idToken ?? (() => adminKey);
  const cli = fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url));
  const child = spawn(process.execPath, [cli, "serve"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...env, PORT: "0", HOST: "127.0.0.1", ...(!idToken && { KEYBRAKE_ADMIN_KEY: adminKey }) },
  });
  try {
    const url = await listening(child);
    return { url, admin: (method, path, body) => admin(url, bearer(), method, path, body), stop: () => stop(child) };
  } catch (error) {
    await stop(child);
    throw error;
  }
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the proxy did not listen within 20 s")), START_TIMEOUT_MS);
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(error);
    };
    child.once("error", fail);
    child.once("exit", (code) =>
      fail(
        code === WRONG_SETTINGS
          ? new UsageError("the proxy does not take these settings, for the reason above.")
          : new Error(`the proxy ended with ${code} before it listened`),
      ),
    );
    // The lines after the first are the log of the calls: read, so that the pipe never fills, and dropped.
    createInterface({ input: child.stdout! }).on("line", (line) => {
      const url = listeningUrl(line);
      if (url === null) return;
      clearTimeout(timer);
      resolve(url);
    });
  });
}

function listeningUrl(line: string): string | null {
  if (!line.includes('"listening"')) return null;
  try {
    const fields = JSON.parse(line) as Record<string, unknown>;
    return fields.message === "listening" ? String(fields.url) : null;
  } catch {
    return null;
  }
}

async function admin(url: string, bearer: string, method: string, path: string, body?: unknown) {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text) as Record<string, unknown>;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  child.kill("SIGTERM");
  await gone;
  clearTimeout(timer);
}
