/**
 * stripe-mock 0.203.0 (Go module, MIT): Stripe's own mock, built from Stripe's OpenAPI description. Needs Go ≥ 1.21 once,
 * to build it into a cache directory outside the tree. Measured, 2026-11:
 * - The strictest check of what we send: an unknown parameter, a wrong type, a missing one or a content type other than
 *   the form is 400 `invalid_request_error`; `Bearer sk_test_…` is required (401 otherwise).
 * - Stateless: every answer is a fixture. Created objects echo `amount`, `currency` and the like and get a random id; reads
 *   answer the fixture with the id that was asked; lists are canned. `Idempotency-Key` comes back as a header and has no
 *   effect; no replays, no declines, no errors but validation. Nothing can be reconciled against it.
 * - An update or capture answers the fixture's amount (1099), not what was asked.
 */
import { execFile } from "node:child_process";
import { access, mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheDirectory, goMissing, withLock } from "../runtimes.ts";
import { startServerProcess } from "./server-process.ts";
import type { VendorServer } from "./vendor-server.ts";

const VERSION = "v0.203.0";
const BUILD_TIMEOUT_MS = 300_000;

/** `null` when stripe-mock can be had here, else one sentence that says why not and what to do. */
export const stripeMockMissing: string | null = goMissing;

export async function startStripeMock(): Promise<VendorServer> {
  if (stripeMockMissing !== null) throw new Error(stripeMockMissing);
  const server = await startServerProcess({
    name: "stripe-mock",
    command: await stripeMockBinary(),
    args: ["-http-addr", "127.0.0.1:0"],
    ready: /Listening for HTTP at address: 127\.0\.0\.1:(\d+)/,
  });
  return {
    url: `http://127.0.0.1:${server.ready[1]}`,
    secret: "sk_test_stripemock0123456789abcdef",
    pid: server.pid,
    stop: server.kill9,
  };
}

async function stripeMockBinary(): Promise<string> {
  const directory = join(await cacheDirectory(), `stripe-mock-${VERSION}`);
  const binary = join(directory, "stripe-mock");
  return withLock(`stripe-mock-${VERSION}`, async () => {
    if (await exists(binary)) return binary;
    const building = `${directory}.building`;
    await rm(building, { recursive: true, force: true });
    await mkdir(building, { recursive: true });
    await promisify(execFile)("go", ["install", `github.com/stripe/stripe-mock@${VERSION}`], {
      env: { ...process.env, GOBIN: building },
      timeout: BUILD_TIMEOUT_MS,
    });
    await rename(building, directory);
    return binary;
  });
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
