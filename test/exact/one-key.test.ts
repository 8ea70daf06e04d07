/**
 * Goal: one label is one key, however many ask for it and however they die.
 * Method: 50 real processes that wait for one signal, then all call `POST /vault/keys`; then 400 requests over 50 sockets while
 * the proxy is killed and started again.
 * Limit: one proxy process on one store; several proxies on one store are another store's matter.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { inParallel } from "../support/caller.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";

const PROCESSES = 50;
const vendors = { stripe: { url: "http://127.0.0.1:9", secret: "sk_test_nobody_is_called" } };

let proxy: RunningProxy;
beforeAll(async () => {
  proxy = await startProxy({ vendors });
});
afterAll(() => proxy?.stop());

const bodyOf = (label: string) => ({
  vendor: "stripe",
  usd_cap: "500.00",
  allowed_endpoints: ["POST /v1/payment_intents"],
  expires_in: "2h",
  label,
});

it("50 processes that ask for one label at once get one key, made once", { timeout: 120_000 }, async () => {
  const label = "billing-nightly-2026-11-22";
  const file = fileURLToPath(new URL("issue-process.ts", import.meta.url));
  const children = Array.from({ length: PROCESSES }, () =>
    spawn(process.execPath, [file, proxy.url, JSON.stringify(bodyOf(label))], {
      stdio: ["pipe", "pipe", "inherit"],
      env: { PATH: process.env.PATH ?? "", KEYBRAKE_ADMIN_KEY: proxy.adminKey },
    }),
  );
  const lines = await gather(children);

  expect(lines).toHaveLength(PROCESSES);
  const statuses = lines.map((line) => line.slice(0, 3));
  expect(statuses.filter((status) => status === "201")).toHaveLength(1);
  expect(statuses.filter((status) => status === "200")).toHaveLength(PROCESSES - 1);
  const answers = lines.map((line) => JSON.parse(line.slice(4)) as Record<string, unknown>);
  expect(new Set(answers.map(({ vault_key }) => vault_key)).size).toBe(1);
  expect(new Set(answers.map(({ key_id }) => key_id)).size).toBe(1);
  const listed = await proxy.admin("GET", `/vault/keys?label=${label}`);
  expect(listed.body.keys).toHaveLength(1);
});

it("a proxy that is killed in the middle of it answers the same key afterwards", { timeout: 120_000 }, async () => {
  const label = "billing-killed";
  const keys = new Set<unknown>();
  let acknowledged = 0;
  let restarted: Promise<void> | null = null;
  await inParallel(400, 50, async () => {
    // A request that meets the kill is asked again, as a task that starts again does.
    for (let tries = 0; ; tries += 1) {
      try {
        const answer = await proxy.admin("POST", "/vault/keys", bodyOf(label));
        expect([200, 201]).toContain(answer.status);
        keys.add(answer.body.vault_key);
        acknowledged += 1;
        if (acknowledged === 60) restarted = proxy.restart();
        return;
      } catch (error) {
        if (restarted === null || tries > 3) throw error;
        await restarted;
      }
    }
  });
  expect(acknowledged).toBe(400);
  expect(restarted).not.toBeNull();
  expect(keys.size).toBe(1);
  expect((await proxy.admin("GET", `/vault/keys?label=${label}`)).body.keys).toHaveLength(1);
});

/** Starts all at once when all are ready. @returns what each printed. */
async function gather(children: ChildProcess[]): Promise<string[]> {
  const answers: string[] = [];
  let ready = 0;
  await Promise.all(
    children.map(async (child) => {
      createInterface({ input: child.stdout! }).on("line", (line) => {
        if (line !== "ready") {
          answers.push(line);
          return;
        }
        ready += 1;
        if (ready === children.length) for (const each of children) each.stdin!.write("go\n");
      });
      await once(child, "close");
    }),
  );
  return answers;
}
