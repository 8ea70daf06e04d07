// @ts-check
/** The command: where it is, and how it takes this process's place. No shell is involved. */
import { accessSync, closeSync, constants, existsSync, openSync, readSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { ExecFailure } from "./failure.js";

const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
/** Bytes that Linux reads of a script's first line. */
const FIRST_BYTES = 256;

/**
 * As execvp(3) looks for it. Throws {@link ExecFailure}: 127 when it is not there, 126 when it cannot be executed.
 * @param {string} name
 * @param {string | undefined} path
 */
export function findProgram(name, path) {
  if (process.platform === "win32") return name;
  const candidates = name.includes("/")
    ? [name]
    : (path ?? DEFAULT_PATH).split(":").map((part) => `${part || "."}/${name}`);
  const there = name === "" ? [] : candidates.filter(isFile);
  const found = there.find(isExecutable);
  if (found !== undefined) {
    checkStart(found);
    return found;
  }
  if (there[0] !== undefined) throw new ExecFailure(`\`${there[0]}\` may not be executed: \`chmod +x\` it.`, 126);
  throw new ExecFailure(`there is no program \`${name}\`${name.includes("/") ? "" : " on the PATH"}.`, 127);
}

/** @param {string} path */
function isFile(path) {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** @param {string} file */
function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Node 24 aborts when execve fails (https://github.com/nodejs/node/pull/62878, read 2026-11), so the usual reasons are looked for before.
 * @param {string} file
 */
function checkStart(file) {
  if (process.platform !== "linux") return;
  const bytes = Buffer.alloc(FIRST_BYTES);
  let length = 0;
  try {
    const descriptor = openSync(file, "r");
    length = readSync(descriptor, bytes, 0, FIRST_BYTES, 0);
    closeSync(descriptor);
  } catch {
    // May be executed and not read: then nothing can be told.
    return;
  }
  const start = bytes.toString("latin1", 0, length);
  if (start.startsWith("\x7fELF")) return;
  const interpreter = /^#![ \t]*([^ \t\n]+)/.exec(start)?.[1];
  if (interpreter === undefined) {
    throw new ExecFailure(`\`${file}\` is neither a program nor a script that begins with \`#!\`.`, 126);
  }
  if (!existsSync(interpreter)) throw new ExecFailure(`\`${file}\` needs ${interpreter}, which is not there.`, 127);
}

/**
 * Never returns where execve exists: the command has this process's id, its standard streams and its signals from then on.
 * @param {string} program
 * @param {readonly string[]} command
 * @param {Record<string, string>} env
 */
export function become(program, command, env) {
  if (typeof process.execve !== "function" || process.platform === "win32") return spawnInstead(program, command, env);
  // Node ignores these two, and what is ignored stays so; what is handled goes back to its default.
  process.on("SIGPIPE", () => {});
  process.on("SIGXFSZ", () => {});
  try {
    process.execve(program, [...command], env);
  } catch (error) {
    throw new ExecFailure(
      `\`${program}\` cannot be started (${/** @type {NodeJS.ErrnoException} */ (error).code}).`,
      126,
    );
  }
}

/** @type {NodeJS.Signals[]} */
const passedOn = ["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"];

/**
 * For Windows, and for Node before 22.15.
 * @param {string} program
 * @param {readonly string[]} command
 * @param {Record<string, string>} env
 */
function spawnInstead(program, command, env) {
  /** @type {typeof import("node:child_process")} */
  const { spawn } = createRequire(import.meta.url)("node:child_process");
  const [argv0 = program, ...args] = command;
  process.removeAllListeners("SIGTERM");
  const child = spawn(program, args, { argv0, env, stdio: "inherit" });
  const signals = process.platform === "win32" ? passedOn.slice(0, 3) : passedOn;
  for (const signal of signals) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    process.stderr.write(
      `keybrake exec: \`${program}\` cannot be started (${/** @type {NodeJS.ErrnoException} */ (error).code}).\n`,
    );
    process.exitCode = 126;
  });
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    for (const each of signals) process.removeAllListeners(each);
    process.kill(process.pid, signal);
  });
}
