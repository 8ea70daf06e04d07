/**
 * Goal: the variables are those that the vendors' SDKs read, with the values that they need.
 * Method: `exec` starts a program with the official SDK, which takes everything from its environment; a loopback server in the place of
 * the proxy keeps what it is sent.
 * Limit: shows where a request goes and with which credential; that the proxy takes it is shown by the SDK tests of the data plane.
 */
import type { IncomingMessage } from "node:http";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test } from "vitest";
import { VaultKeys } from "../../service/vault-key.ts";
import { jobDoc } from "../policies/fixture.ts";
import { openClaimWorld, TASKS, TWILIO_ACCOUNT } from "../setup/claim-world.ts";
import { implementations, runExec } from "./implementations.ts";
import { type Loopback, serve, serveMetadata } from "./loopback.ts";

const EXECUTION = "billing-x7x2p";
let seen: string[];
let proxy: Loopback;
let metadata: Loopback;
let vaultKey: string;

beforeEach(async () => {
  const world = await openClaimWorld();
  world.cloudRun.add(EXECUTION);
  const budget = { vendors: ["stripe", "twilio", "resend"], allowed_endpoints: ["*"], usd_cap: 5, expires_in: "1h" };
  world.policies.docs.set("billing", jobDoc({ budget }));
  const { json } = await world.claim(TASKS, "billing", EXECUTION);
  vaultKey = String(json.vault_key);
  await world.close();
  seen = [];
  proxy = await serve((request: IncomingMessage) => {
    if (request.url?.endsWith("/claim")) return { status: 200, body: json };
    seen.push(`${request.method} ${request.url} ${request.headers.authorization}`);
    return { status: 200, body: { id: "made", object: "payment_intent", sid: "SM1" } };
  });
  metadata = await serveMetadata(TASKS);
  return async () => {
    await proxy.close();
    await metadata.close();
  };
});

async function runWith(program: string): Promise<string> {
  const env = {
    PATH: process.env.PATH ?? "",
    KEYBRAKE_URL: proxy.url,
    KEYBRAKE_AUDIENCE: "any",
    GCE_METADATA_HOST: metadata.host,
    CLOUD_RUN_JOB: "billing",
    CLOUD_RUN_EXECUTION: EXECUTION,
    CLOUD_RUN_TASK_INDEX: "4",
    CLOUD_RUN_TASK_ATTEMPT: "1",
  };
  const ended = await runExec(implementations[0]!, [process.execPath, "--input-type=module", "-e", program], env);
  expect(ended).toMatchObject({ code: 0, stderr: "" });
  return ended.stdout;
}

test("Resend's needs no line of code", async () => {
  await runWith(`
    import { Resend } from "resend";
    await new Resend().emails.send({ from: "a@example.com", to: "b@example.com", subject: "s", text: "t" });
  `);
  expect(seen).toEqual([`POST /resend/emails Bearer ${vaultKey}~4~1`]);
});

test("Stripe's takes the key, and the host of STRIPE_API_BASE", async () => {
  await runWith(`
    import Stripe from "stripe";
    const { hostname: host, port, protocol } = new URL(process.env.STRIPE_API_BASE);
    const stripe = new Stripe(process.env.STRIPE_SECRET_KEY, { host, port, protocol: protocol.slice(0, -1) });
    await stripe.paymentIntents.create({ amount: 4000, currency: "usd" });
  `);
  expect(seen).toEqual([`POST /v1/payment_intents Bearer ${vaultKey}~4~1`]);
});

test("Twilio's takes account and key, and its requests need the proxy's address", async () => {
  await runWith(`
    import twilio from "twilio";
    const httpClient = new twilio.RequestClient();
    const request = httpClient.request.bind(httpClient);
    httpClient.request = (options) =>
      request({ ...options, uri: options.uri.replace("https://api.twilio.com", process.env.KEYBRAKE_URL + "/twilio") });
    await twilio(undefined, undefined, { httpClient }).messages.create({ to: "+15005550006", from: "+15005550006", body: "b" });
  `);
  const basic = Buffer.from(`${TWILIO_ACCOUNT}:${vaultKey}~4~1`).toString("base64");
  expect(seen).toEqual([`POST /twilio/2010-04-01/Accounts/${TWILIO_ACCOUNT}/Messages.json Basic ${basic}`]);
});

test("the examples, which append the task's context by themselves, run under exec too", async () => {
  const example = fileURLToPath(new URL("../../examples/sdks/stripe-node.ts", import.meta.url));
  expect(await runWith(`await import(${JSON.stringify(example)});`)).toBe("created made\n");
  expect(seen).toEqual([`POST /v1/payment_intents Bearer ${vaultKey}~4~1~4~1`]);
});

test("a vault key with the same context twice is that of one task, and with two contexts of none", () => {
  const keys = new VaultKeys(new Map([[1, Buffer.alloc(32, 1)]]));
  const text = keys.text("a".repeat(26), 1);
  expect(keys.verify(`${text}~4~1~4~1`)).toEqual(keys.verify(`${text}~4~1`));
  expect(keys.verify(`${text}~4~1`)).toMatchObject({ text, task: 4, attempt: 1 });
  for (const wrong of ["~4~1~4~0", "~4~1~5~1", "~4~1~4", "~4~1~04~1", "~4~1~4~1~4~1"]) {
    expect([wrong, keys.verify(text + wrong)]).toEqual([wrong, null]);
  }
});
