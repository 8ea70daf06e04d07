/**
 * Goal: a whole proxy takes its vendor's secret and its pepper from Secret Manager, survives a rotation of both without losing a call or a
 * key, and lets nothing of either out: not in an answer, a log, an error of the client library, the store or the command line's output.
 * Method: a real process, a vendor that knows which secret is right and echoes what it got, and a loopback Secret Manager whose errors say the
 * secret in every field that Google's errors have, while GOOGLE_SDK_NODE_LOGGING asks the library for everything; then every byte that
 * came out is searched. Limit: the loopback is no Google; and pieces of under 12 bytes are not searched for.
 */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { LocalAnswer } from "../../examples/local-cloud/local-api.ts";
import { canaryOf, findIn } from "../canary/search.ts";
import { type CallAnswer, Caller } from "../support/caller.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { json, Upstream } from "../support/upstream.ts";
import { type LocalWorld, secretOf, startLocal } from "./local.ts";

const first = "sk_live_C4NARYoneHq9Zx3Lm5Vb8Tn";
const second = "sk_live_C4NARYtwoKw7Rj2Pd6Fs4Yc";
const stripe = secretOf("stripe");
const pepper = secretOf("pepper");

let world: LocalWorld;
let vendor: Upstream;
let proxy: RunningProxy;
let caller: Caller;
const came: { what: string; text: string }[] = [];

const env = (): Record<string, string> => ({
  KEYBRAKE_GOOGLE_APIS: world.url,
  KEYBRAKE_PEPPER: pepper,
  KEYBRAKE_VENDORS: JSON.stringify({ stripe: { secret: stripe, upstream: vendor.url } }),
  GOOGLE_SDK_NODE_LOGGING: "all",
});

beforeAll(async () => {
  world = await startLocal();
  world.local.createSecret(pepper);
  world.local.createSecret(secretOf("other-pepper"));
  world.local.addVersion(stripe, `${first}\n`);
  vendor = await Upstream.start();
  takes(first);
  proxy = await startProxy({ vendors: {}, env: env() });
  caller = new Caller(proxy.url, 4);
});
afterAll(async () => {
  caller?.close();
  await proxy?.stop();
  await vendor?.stop();
  await world?.close();
});

/** The vendor knows one secret; to any other it answers 401 with what it got. */
function takes(secret: string): void {
  vendor.otherwise = (socket, received) => {
    const given = received.headers.get("authorization") ?? "";
    const answer =
      given === `Bearer ${secret}`
        ? json(200, { id: "pi_1", amount: 400, currency: "usd", status: "succeeded", amount_received: 400 })
        : json(401, { error: { message: `Invalid API Key provided: ${given}` } });
    answer(socket, received);
  };
}

async function issue(label: string): Promise<{ keyId: string; vaultKey: string }> {
  return proxy.issue({ vendor: "stripe", usd_cap: "500.00", allowed_endpoints: ["*"], label });
}

let amount = 400;
async function pay(vaultKey: string): Promise<CallAnswer> {
  amount += 1;
  const answer = await caller.post("/stripe/v1/payment_intents", vaultKey, { amount, currency: "usd" });
  came.push({ what: "an answer", text: `${JSON.stringify(answer.headers)}${answer.text}` });
  return answer;
}

/** An error that says a secret wherever Google's errors have room (https://cloud.google.com/apis/design/errors, read 2026-11). */
function telling(code: number, status: string): { instead: LocalAnswer } {
  const said = `${first} ${second}`;
  const info = { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: said, domain: said, metadata: { said } };
  const help = { "@type": "type.googleapis.com/google.rpc.DebugInfo", stackEntries: [said], detail: said };
  const error = { code, message: said, status, details: [info, help] };
  return { instead: { status: code, json: { error }, headers: { "x-said": said, "www-authenticate": said } } };
}

describe("a proxy with its secrets in Secret Manager", () => {
  let key: { keyId: string; vaultKey: string };

  it("makes its pepper there, and pays with the vendor's secret from there", async () => {
    expect(world.local.values(pepper)).toEqual([expect.stringMatching(/^first:[0-9a-f]{64}$/)]);
    key = await issue("before");
    expect((await pay(key.vaultKey)).status).toBe(200);
  });

  it("pays with the rotated secret when the vendor takes the old one no more, without a failed call", async () => {
    world.local.addVersion(stripe, second);
    takes(second);
    expect((await pay(key.vaultKey)).status).toBe(200);
    expect((await pay(key.vaultKey)).status).toBe(200);
    expect((await proxy.key(key.keyId)).counts).toMatchObject({ settled: 3 });
  });

  it("takes a rotated pepper at its next start, and its old keys go on", async () => {
    world.local.addVersion(pepper, randomBytes(32).toString("hex"));
    came.push({ what: "the first log", text: proxy.logs().join("\n") });
    await proxy.restart();
    caller.close();
    caller = new Caller(proxy.url, 4);
    expect((await pay(key.vaultKey)).status).toBe(200);
    const young = await issue("after");
    expect(young.vaultKey).toMatch(/^vk_2_/);
    expect((await pay(young.vaultKey)).status).toBe(200);
    expect((await issue("before")).vaultKey).toBe(key.vaultKey);
  });

  it.each<[string, () => void]>([
    ["denies", () => world.local.failNext(telling(403, "PERMISSION_DENIED"))],
    ["has a disabled version", () => world.local.failNext(telling(400, "FAILED_PRECONDITION"))],
    ["wants another credential", () => world.local.failNext(telling(401, "UNAUTHENTICATED"))],
    ["answers what is no JSON", () => world.local.failNext({ instead: { status: 502, text: `<html>${first}` } })],
    ["sends a damaged value", () => world.local.failNext("damage")],
  ])("refuses the call and tells nothing when the vendor answers 401 and Secret Manager %s", async (_what, fault) => {
    // A start of its own, for a vendor's 401 has the secret read once in 10 s.
    takes(second);
    came.push({ what: "a log", text: proxy.logs().join("\n") });
    await proxy.restart();
    caller.close();
    caller = new Caller(proxy.url, 4);
    takes("sk_live_a_third_one");
    fault();
    const answer = await pay(key.vaultKey);
    expect([answer.status, answer.headers["x-keybrake-code"]]).toEqual([502, "vendor_credential_rejected"]);
    await vi.waitFor(() => expect(proxy.logs().join("\n")).toContain("could not be fetched anew"));
    world.local.recover();
  });

  it("starts while a vendor's secret has no version, refuses that vendor's calls alone, and takes the value without a restart", async () => {
    const late = secretOf("resend");
    world.local.createSecret(late);
    const vendors = {
      stripe: { secret: stripe, upstream: vendor.url },
      resend: { secret: late, upstream: vendor.url },
    };
    takes(second);
    const other = await startProxy({
      vendors: {},
      env: { ...env(), KEYBRAKE_PEPPER: secretOf("other-pepper"), KEYBRAKE_VENDORS: JSON.stringify(vendors) },
    });
    const mine = new Caller(other.url, 4);
    try {
      const errors = () => other.logs().filter((line) => line.includes('"severity":"ERROR"'));
      await vi.waitFor(() => expect(errors()).toEqual([expect.stringContaining(`keybrake secrets set ${late}`)]));
      const give = (id: string) =>
        other.issue({ vendor: id, usd_cap: "500.00", allowed_endpoints: ["*"], label: `late-${id}` });
      const [mail, money] = [await give("resend"), await give("stripe")];
      const headers = { authorization: `Bearer ${mail.vaultKey}`, "content-type": "application/json" };
      const message = JSON.stringify({ from: "a@example.com", to: "b@example.com", subject: "s", text: "t" });
      const send = () => fetch(`${other.url}/resend/emails`, { method: "POST", headers, body: message });
      const refused = await send();
      expect([refused.status, refused.headers.get("x-keybrake-code")]).toEqual([503, "vendor_secret_unavailable"]);
      const body = { amount: 400, currency: "usd" };
      expect((await mine.post("/stripe/v1/payment_intents", money.vaultKey, body)).status).toBe(200);
      world.local.addVersion(late, second);
      await vi.waitFor(async () => expect((await send()).status).toBe(200), { timeout: 20_000, interval: 500 });
      came.push({ what: "the log of a late secret", text: other.logs().join("\n") });
    } finally {
      mine.close();
      await other.stop();
    }
  });

  it("says in one sentence why it cannot start, and tells nothing", async () => {
    const fault = telling(403, "PERMISSION_DENIED");
    world.local.failNext(fault, fault, fault);
    const failed = await startProxy({ vendors: {}, env: env() }).catch((error: Error) => error.message);
    expect(failed).toMatch(/ended with 1[\s\S]*keybrake: KEYBRAKE_(?:PEPPER|VENDORS): .*grant it roles\/secretmanager/);
    world.local.recover();
    came.push({ what: "a start that failed", text: String(failed) });
  });

  it("has let nothing of a secret or of a pepper out", async () => {
    for (const target of [`/vault/keys/${key.keyId}`, "/audit?limit=200", `/vault/keys/${key.keyId}/proof`]) {
      came.push({ what: target, text: JSON.stringify((await proxy.admin("GET", target)).body) });
    }
    expect(await proxy.terminate()).toBe(0);
    came.push({ what: "the last log", text: proxy.logs().join("\n") });
    const files = readdirSync(proxy.directory).map((name) => ({
      what: name,
      bytes: readFileSync(join(proxy.directory, name)),
    }));
    const places = [...files, ...came.map(({ what, text }) => ({ what, bytes: Buffer.from(text) }))];
    const peppers = world.local.values(pepper).map((value) => value.replace("first:", ""));
    expect(peppers).toHaveLength(2);
    const canaries = [
      ...[first, second].map((each) => canaryOf("the secret", each.slice("sk_live_".length), { pieces: true })),
      ...peppers.map((each) => canaryOf("the pepper's digits", each, { pieces: true })),
      ...peppers.map((each) => canaryOf("the pepper", Buffer.from(each, "hex"), { pieces: true })),
    ];
    for (const canary of canaries) expect(findIn(Buffer.concat([...canary.forms.values()]), canary)).not.toEqual([]);
    expect(
      places.flatMap(({ what, bytes }) =>
        canaries.flatMap((each) => findIn(bytes, each).map((at) => `${what}: ${at}`)),
      ),
    ).toEqual([]);
    expect(places.length).toBeGreaterThan(15);
  });
});
