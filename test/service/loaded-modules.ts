/** Which modules a process has loaded: a hook of the module loader, given to node before the entry, writes each URL into a file. */
import { readFileSync } from "node:fs";

/** Arguments of node that go before the entry. */
export function recordModules(file: string): string[] {
  const hook = `
    import { registerHooks } from "node:module";
    import { appendFileSync } from "node:fs";
    registerHooks({ load(url, context, next) { appendFileSync(${JSON.stringify(file)}, url + "\\n"); return next(url, context); } });`;
  return ["--import", `data:text/javascript,${encodeURIComponent(hook)}`];
}

export const recordedModules = (file: string): string[] => readFileSync(file, "utf8").split("\n").filter(Boolean);
