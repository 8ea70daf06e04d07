/** The TypeScript compiler as a person starts it, in a process of its own. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { root } from "../readme/markdown.ts";

/** @returns what the compiler has to say; `""`: nothing is wrong. */
export function typeCheck(directory: string, ...options: string[]): Promise<string> {
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const run = [compiler, "--noEmit", "--pretty", "false", ...options];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      run,
      { cwd: directory, timeout: 240_000, maxBuffer: 16 << 20 },
      (error, stdout, stderr) => {
        if (error && stdout === "") reject(new Error(`tsc: ${error.message} ${stderr}`));
        else resolve(stdout.trim());
      },
    );
  });
}
