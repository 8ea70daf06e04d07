/**
 * Goal: the parts of the local Google Cloud fit together: a task proves its own account and no other, the keys of the tokens are where Google has them, secrets are beside, and closing ends all of it.
 * Method: a job whose task asks its metadata server; the tokens are verified with google-auth-library and the published keys.
 * Limit: the proxy is not in it; what it makes of these tokens is tested with it.
 */

import { createPublicKey, type JsonWebKey } from "node:crypto";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OAuth2Client } from "google-auth-library";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type LocalCloud, startLocalCloud } from "../../examples/local-cloud/local-cloud.ts";

let directory: string;
let logFd: number;
let cloud: LocalCloud;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "local-cloud-test-"));
  logFd = openSync(join(directory, "log"), "a");
  cloud = await startLocalCloud({ logFd, graceMs: 300 });
});
afterEach(async () => {
  await cloud.close();
  closeSync(logFd);
  rmSync(directory, { recursive: true, force: true });
});

const askForToken = `fetch("http://" + process.env.GCE_METADATA_HOST +
  "/computeMetadata/v1/instance/service-accounts/default/identity?audience=the-proxy&format=full",
  { headers: { "Metadata-Flavor": "Google" } }).then((r) => r.text()).then((token) =>
    console.log(JSON.stringify({ job: process.env.CLOUD_RUN_JOB, token })))`;

function setJob(name: string, program: string): void {
  cloud.setJob(name, {
    serviceAccount: `${name}@local-project.iam.gserviceaccount.com`,
    containers: [{ name: null, command: [process.execPath, "-e", program], args: [], env: {} }],
    ...{ tasks: 1, parallelism: 1, maxRetries: 0, taskTimeoutMs: 20_000 },
  });
}

async function start(name: string): Promise<string> {
  const path = `/v2/projects/${cloud.project}/locations/${cloud.location}/jobs/${name}:run`;
  const response = await fetch(cloud.url + path, { method: "POST" });
  const { metadata } = (await response.json()) as { metadata: { name: string } };
  return metadata.name.split("/").at(-1)!;
}

async function emailOf(token: string, audience: string): Promise<string | undefined> {
  const { keys } = (await (await fetch(`${cloud.url}/oauth2/v3/certs`)).json()) as {
    keys: (JsonWebKey & { kid: string })[];
  };
  const pems = Object.fromEntries(
    keys.map((key) => [
      key.kid,
      createPublicKey({ key, format: "jwk" }).export({ type: "spki", format: "pem" }).toString(),
    ]),
  );
  const ticket = await new OAuth2Client().verifySignedJwtWithCertsAsync(token, pems, audience, [
    "https://accounts.google.com",
  ]);
  return ticket.getPayload()?.email;
}

it("a task gets the token of its job's account, and each job has another metadata server", async () => {
  for (const name of ["billing", "invoices"]) {
    setJob(name, askForToken);
    expect(await cloud.ended(await start(name))).toMatchObject({ succeeded: 1 });
  }
  const tasks = readFileSync(join(directory, "log"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { job: string; token: string });
  expect(tasks.map(({ job }) => job)).toEqual(["billing", "invoices"]);
  for (const { job, token } of tasks) {
    expect(await emailOf(token, "the-proxy")).toBe(`${job}@local-project.iam.gserviceaccount.com`);
    await expect(emailOf(token, "another audience")).rejects.toThrow(/audience/i);
  }
});

it("has Cloud Run, Secret Manager and the keys behind one address, and nothing else", async () => {
  cloud.addSecretVersion("projects/local-project/secrets/stripe", "sk_test_1");
  const version = await fetch(`${cloud.url}/v1/projects/local-project/secrets/stripe/versions/latest:access`);
  const { payload } = (await version.json()) as { payload: { data: string } };
  expect(Buffer.from(payload.data, "base64").toString()).toBe("sk_test_1");
  expect((await fetch(`${cloud.url}/v1/projects/local-project/topics`)).status).toBe(404);
});

it("closing ends what runs and the servers, also the second time", async () => {
  setJob("billing", "setInterval(() => {}, 1000)");
  const execution = await start("billing");
  await Promise.all([cloud.close(), cloud.close()]);
  expect(await cloud.ended(execution)).toMatchObject({ completed: true, cancelled: 1 });
  await expect(fetch(`${cloud.url}/oauth2/v3/certs`)).rejects.toThrow();
});
