/**
 * Preloaded (`node --require`) into every task attempt, to end some of them: the task's code and its SDK are as they always are.
 * Every tenth task dies once, and of those every fourth dies twice; the ways take turns:
 * - `exit`: the vendor has been paid, then the task ends with 1 before it could note that;
 * - `kill`: the same by SIGKILL, as when a container is evicted or runs out of memory;
 * - `kill-in-flight`: SIGKILL while the call is on its way, its outcome unknown to the task.
 */

import { subscribe } from "node:diagnostics_channel";
import type { ClientRequest } from "node:http";

const ways = ["exit", "kill", "kill-in-flight"] as const;

function misfortuneOf(task: number, attempt: number): (typeof ways)[number] | null {
  const dies = (attempt === 0 && task % 10 === 3) || (attempt === 1 && task % 40 === 3);
  return dies ? ways[(Math.floor(task / 10) + attempt) % ways.length]! : null;
}

const kind = misfortuneOf(Number(process.env.CLOUD_RUN_TASK_INDEX), Number(process.env.CLOUD_RUN_TASK_ATTEMPT));

if (kind === "exit" || kind === "kill") {
  subscribe("http.client.response.finish", () =>
    kind === "exit" ? process.exit(1) : process.kill(process.pid, "SIGKILL"),
  );
} else if (kind === "kill-in-flight") {
  subscribe("http.client.request.start", (message) => {
    const { request } = message as { request: ClientRequest };
    request.once("finish", () => process.kill(process.pid, "SIGKILL"));
  });
}
