/**
 * Preloaded (`node --require`) into the task attempts that are to die: the task's code and its SDK are as they always are.
 * `DEMO_MISFORTUNE` says how:
 * - `exit`: the vendor has been paid, then the task ends with 1 before it could note that;
 * - `kill`: the same by SIGKILL, as when a container is evicted or runs out of memory;
 * - `kill-in-flight`: SIGKILL while the call is on its way, its outcome unknown to the task.
 */

import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

const kind = process.env.DEMO_MISFORTUNE;

if (kind === "exit" || kind === "kill") {
  subscribe("http.client.response.finish", () =>
    kind === "exit" ? process.exit(1) : process.kill(process.pid, "SIGKILL"),
  );
} else if (kind === "kill-in-flight") {
  subscribe("http.client.request.start", (message) => {
    const { request } = message as { request: ClientRequest };
    request.once("finish", () => process.kill(process.pid, "SIGKILL"));
  });
} else {
  throw new Error(`DEMO_MISFORTUNE is ${JSON.stringify(kind)}; it must be exit, kill or kill-in-flight.`);
}
