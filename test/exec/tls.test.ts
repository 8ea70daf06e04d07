/**
 * Goal: the ID token and the vault key travel to the proxy's own certificate only.
 * Method: each implementation against a TLS server on loopback, whose certificate it trusts, or does not, and against one without TLS.
 * Limit: the certificate is made here by `openssl`, and left out where that is missing.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { nameOf } from "../support/runtimes.ts";
import { type Implementation, implementations, runExec } from "./implementations.ts";
import { claimed, type Loopback, serve, serveMetadata } from "./loopback.ts";

const directory = mkdtempSync(join(tmpdir(), "keybrake-tls-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const certificate = join(directory, "certificate.pem");
const opensslMissing = make();

function make(): string | null {
  const args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
  const files = ["-keyout", join(directory, "key.pem"), "-out", certificate];
  const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  try {
    execFileSync("openssl", [...args, ...files, ...names], { stdio: "ignore" });
    return null;
  } catch {
    return "openssl ≥ 1.1.1 is not installed";
  }
}

let metadata: Loopback;
let port: number;
let asked: string[];
beforeEach(async () => {
  metadata = await serveMetadata("billing@my-project.iam.gserviceaccount.com");
  asked = [];
  if (opensslMissing !== null) return () => metadata.close();
  const server = createServer(
    { key: readFileSync(join(directory, "key.pem")), cert: readFileSync(certificate) },
    (request, response) => {
      asked.push(`${request.method} ${request.url}`);
      response.end(JSON.stringify(claimed));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
  return async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await metadata.close();
  };
});

const run = (it: Implementation, url: string, more: Record<string, string> = {}) =>
  runExec(it, ["--wait", "1", "--", "printenv", "STRIPE_API_BASE"], {
    PATH: process.env.PATH ?? "",
    KEYBRAKE_URL: url,
    KEYBRAKE_AUDIENCE: "any",
    GCE_METADATA_HOST: metadata.host,
    CLOUD_RUN_JOB: "billing",
    CLOUD_RUN_EXECUTION: "billing-x7x2p",
    CLOUD_RUN_TASK_INDEX: "0",
    CLOUD_RUN_TASK_ATTEMPT: "0",
    ...more,
  });
const trusted = { NODE_EXTRA_CA_CERTS: certificate, SSL_CERT_FILE: certificate };

describe.each(implementations.filter(({ variant }) => !variant).map((it) => [it.name, it] as const))(
  "%s",
  (_name, it) => {
    const missing = it.missing ?? opensslMissing;
    const cases = (title: string, work: () => Promise<void>) =>
      test.skipIf(missing !== null)(nameOf(title, missing), work);

    cases("a proxy whose certificate is trusted is asked", async () => {
      const url = `https://localhost:${port}`;
      expect(await run(it, url, trusted)).toMatchObject({ code: 0, stdout: `${url}\n`, stderr: "" });
      expect(asked).toEqual(["POST /jobs/billing/executions/billing-x7x2p/claim"]);
    });

    cases("one whose certificate nobody vouches for is sent nothing", async () => {
      const ended = await run(it, `https://localhost:${port}`);
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toMatch(
        /the proxy at https:\/\/localhost:\d+ does not answer \([A-Z_]*(SELF_SIGNED|CERTIFICATE)\w*\)/,
      );
      expect(asked).toEqual([]);
    });

    cases("one whose certificate has another name is sent nothing", async () => {
      const ended = await run(it, `https://127.0.0.1:${port}`, trusted);
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(ended.stderr).toContain("does not answer");
      expect(asked).toEqual([]);
    });

    cases("one without TLS behind https:// is sent nothing", async () => {
      const plain = await serve(() => ({ status: 200, body: claimed }));
      const ended = await run(it, `https://${plain.host}`, trusted);
      expect(ended).toMatchObject({ code: 1, stdout: "" });
      expect(plain.asked).toEqual([]);
      await plain.close();
    });
  },
);
