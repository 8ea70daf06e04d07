import type { Readable, Writable } from "node:stream";

export type TerminalStream = Writable & { isTTY?: boolean; columns?: number };

/** What a command sees of the world: only the entry of the command line fills it from `process`. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  stdin: Readable;
  stdout: TerminalStream;
  stderr: Writable;
  fetch: typeof fetch;
  /** Milliseconds since the epoch, for times such as `--since 2h`. */
  now(): number;
}
