/** The entry of the service, and the only file of it that reads `process`. */
import { destination } from "pino";
import { type Proxy as RunningProxy, startProxy } from "./app.ts";
import { systemClock, systemRandom } from "./clock.ts";
import { ConfigError, type Environment, readConfig } from "./config.ts";
import { createLogger } from "./log.ts";

/** After a signal everything ends within this, ms, whatever hangs. */
const LAST_MS = 9_000;

/** Log lines are written together: a write for each would cost more than the line. A reader that stalls loses lines beyond the queue. */
const LOG_BUFFER_BYTES = 8 << 10;
const LOG_QUEUE_BYTES = 16 << 20;
const LOG_FLUSH_MS = 200;
/** At the end the last lines have this long to leave. */
const LAST_LINES_MS = 500;

/**
 * Runs the proxy until SIGTERM or SIGINT, then drains and exits 0. Resolves when it listens.
 * What keeps it from starting is said on stderr in one sentence each: exit code 2 for wrong variables, 1 for all else.
 */
export async function serve(env: Environment): Promise<void> {
  try {
    await start(env);
  } catch (error) {
    const sentences =
      error instanceof ConfigError ? error.problems : [error instanceof Error ? error.message : String(error)];
    for (const sentence of sentences) process.stderr.write(`keybrake: ${sentence}\n`);
    process.exit(error instanceof ConfigError ? 2 : 1);
  }
}

async function start(env: Environment): Promise<void> {
  const config = readConfig(env);
  const lines = destination({
    fd: process.stdout.fd,
    sync: false,
    minLength: LOG_BUFFER_BYTES,
    maxLength: LOG_QUEUE_BYTES,
  });
  const log = createLogger(lines);
  for (const warning of config.warnings) log.warn(warning);
  let proxy: RunningProxy | null = null;
  let stopped = false;
  const leave = (code: number): void => {
    // Not flushSync: it would try for ever when the reader of the lines is gone (sonic-boom 4, read 2026-11).
    const end = () => process.exit(code);
    setTimeout(end, LAST_LINES_MS);
    lines.flush(end);
  };
  const stop = (signal: NodeJS.Signals): void => {
    stopped = true;
    log.info({ signal }, proxy ? "draining" : "stopped before it listened");
    setTimeout(() => leave(1), LAST_MS).unref();
    const closed = proxy ? proxy.close() : Promise.resolve();
    closed.then(
      () => leave(0),
      (error: unknown) => {
        log.error({ err: error }, "the drain failed; open calls are found at the next start");
        leave(1);
      },
    );
  };
  // From the start on: the first process of a container would not hear a signal that nobody listens for, and be killed later, serving.
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  proxy = await startProxy({
    config,
    clock: systemClock,
    random: systemRandom,
    log,
    onStoreLost: () => leave(1),
    announceAdminKey: (key) => {
      process.stderr.write(`keybrake: admin key, made now and shown this once: ${key}\n`);
    },
  });
  if (stopped) return;
  process.stdout.write(
    `${JSON.stringify({ severity: "INFO", time: new Date(systemClock.now()).toISOString(), message: "listening", url: proxy.url })}\n`,
  );
  // Only now: who started this process reads the listening line first, whatever there was to log before it.
  setInterval(() => lines.flush(), LOG_FLUSH_MS).unref();
}

if (import.meta.main) await serve(process.env);
