/**
 * Goal: the README's first call works for a reader who pastes it, and so do the other commands that it shows.
 * Method: the blocks go into one bash as they stand, with a stranger's PATH; only environment variables are set. The proxy sends to
 * `https://api.stripe.com` as configured; that name is answered by the simulation that the README names, behind a certificate
 * made here.
 * Limit: Stripe itself is not called.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createProxyServer } from "http-proxy-3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nameOf } from "../support/runtimes.ts";
import { startServerProcess } from "../support/vendors/server-process.ts";
import { blocksOf, codeSpans, read, root } from "./markdown.ts";
import { openShell, type Shell, shellMissing } from "./shell.ts";

const readme = read("README.md");
const directory = mkdtempSync(join(tmpdir(), "keybrake-readme-"));
const listening = /"message":"listening","url":"(http:[^"]+)"/;
const missing = shellMissing && `${shellMissing} is not installed`;

const proxyEnvironment = (name: string) => ({ PORT: "0", KEYBRAKE_STORE: `sqlite:${join(directory, `${name}.db`)}` });

/** `https://api.stripe.com` on this machine, in front of a simulation. */
async function stripeHere(target: string): Promise<{ server: Server; env: Record<string, string> }> {
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=api.stripe.com", "-addext", "subjectAltName=DNS:api.stripe.com"];
  const request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", ...subject];
  execFileSync("openssl", [...request, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const forward = createProxyServer({ target });
  const server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
    forward.web(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    server,
    env: {
      NODE_OPTIONS: `--import file://${root}test/readme/stripe-here.mjs`,
      NODE_EXTRA_CA_CERTS: cert,
      TEST_STRIPE_PORT: String((server.address() as AddressInfo).port),
    },
  };
}

async function startSimulation() {
  const span = codeSpans(readme).find((text) => text.startsWith("npx emulate "))!;
  const [, command, ...args] = span.split(" ");
  // The one substitution: a free port.
  const [port] = args.splice(-1, 1, String(await freePort()));
  expect(readme).toContain(`"upstream":"http://127.0.0.1:${port}"`);
  const server = await startServerProcess({
    name: span,
    command: process.execPath,
    args: [join(root, "node_modules/.bin", command!), ...args],
    ready: /stripe\s+http:\/\/localhost:(\d+)/,
  });
  return { url: `http://127.0.0.1:${server.ready[1]}`, stop: server.kill9 };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** The JSON objects of a terminal's text: answers of curl without a newline between them, and lines of the log. */
function objectsOf(text: string): Record<string, unknown>[] {
  const objects: Record<string, unknown>[] = [];
  let depth = 0;
  let start = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\\n]|\\.)*"|[{}]/g)) {
    if (token === "{" && depth++ === 0) start = index;
    else if (token === "}" && --depth === 0) objects.push(JSON.parse(text.slice(start, index + 1)));
  }
  return objects;
}

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(missing !== null)(nameOf("the README's first call, pasted into a shell", missing), () => {
  const [serve, call] = ["serve.sh", "call.sh"].map((name) => read(`examples/first-call/${name}`));
  let simulation: { url: string; stop(): Promise<void> };
  let stripe: Awaited<ReturnType<typeof stripeHere>>;
  let shell: Shell;
  let output: string;
  beforeAll(async () => {
    simulation = await startSimulation();
    stripe = await stripeHere(simulation.url);
    shell = openShell(
      { ...proxyEnvironment("first-call"), ...stripe.env, STRIPE_SECRET_KEY: "sk_test_readme0123456789" },
      true,
    );
    await shell.paste(serve!);
    const [, url] = await shell.see(listening);
    await shell.paste(`export KEYBRAKE_URL=${url}`);
    output = (await shell.paste(call!)).output;
  }, 120_000);
  afterAll(async () => {
    await shell?.close();
    stripe?.server.close();
    await simulation?.stop();
  });

  it("answers the payment intent that Stripe made, and Stripe has exactly that one", async () => {
    const intent = objectsOf(output).find(({ object }) => object === "payment_intent");
    expect(intent).toMatchObject({ amount: 4000, currency: "usd" });
    const response = await fetch(`${simulation.url}/v1/payment_intents`, { headers: { authorization: "Bearer sk_x" } });
    const { data } = (await response.json()) as { data: { id: string }[] };
    expect(data.map(({ id }) => id)).toEqual([intent!.id]);
  });

  it("shows the call in the audit, settled at its amount", () => {
    const { calls } = objectsOf(output).find((line) => "calls" in line) as { calls: Record<string, unknown>[] };
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({
      state: "settled",
      cost_usd: "40.00",
      label: "billing-nightly-1",
      vendor: "stripe",
    });
  });

  it("issues the same key again for the same label, and `kill %1` stops the proxy", async () => {
    const again = await shell.paste(`${call}\necho; echo "$issued"`);
    expect(again.output).toContain('"label":"billing-nightly-1"');
    expect(again.output).toContain('"spent_usd":"40.00"');
    expect(codeSpans(readme)).toContain("kill %1");
    await shell.paste("kill %1");
    const [, url] = await shell.see(listening);
    const up = (): Promise<boolean> =>
      fetch(`${url}/health`).then(
        () => true,
        () => false,
      );
    await expect.poll(up, { timeout: 20_000 }).toBe(false);
  }, 60_000);
});

describe.skipIf(missing !== null)(nameOf("every other command of a block", missing), () => {
  const commands = ["README.md", "examples/custom-vendor/README.md", "examples/billing-demo/README.md"].flatMap(
    (file) =>
      blocksOf(read(file))
        .filter(({ language, linked }) => language === "sh" && linked === null)
        .map(({ text, line }) => ({ file, line, text })),
  );

  it.each(commands)("$file, line $line, runs as it stands", async ({ text }) => {
    const shell = openShell({ ...proxyEnvironment("command"), LOB_API_KEY: "test_0123456789" }, false);
    try {
      if (text.includes("keybrake serve")) {
        shell.paste(text).catch(() => {});
        const [, url] = await shell.see(listening);
        const answer = await fetch(`${url}/lob/v1/postcards`, { method: "POST" });
        expect(await answer.json()).toMatchObject({ error: { code: "key_invalid" } });
      } else expect(await shell.paste(text)).toMatchObject({ code: 0 });
    } finally {
      await shell.close();
    }
  });
});
