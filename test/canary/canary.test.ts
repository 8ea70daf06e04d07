/**
 * Goal: no byte sequence of a vendor's secret, the admin key, the pepper or a vault key is in anything that the proxy gives out or
 * keeps: answers, logs, the database's files and rows, exports, proofs, the description, the command line's output. The answer to
 * `POST /vault/keys` is the one place where a vault key may be.
 * Method: canaries in all those places of a real proxy; a mixed load of successes, declines, failures, refusals, echoes of the
 * secret, kills and look-ups; then every byte that came out is searched for them, whole, in pieces and in eleven encodings.
 * Limit: encodings that the search does not know; a client that writes pieces of its own vault key into a path; and the vendor echoes the whole secret, as an echo in pieces that the vendor
 * made cannot be told from other text.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../cli/run-cli.ts";
import { type Behaviour, chunked, cut, json, text as plain, reset } from "../support/upstream.ts";
import { type Canary, canaryOf, findIn } from "./search.ts";
import {
  adminKey,
  CanaryWorld,
  form,
  type Kept,
  pepper,
  request,
  stripeSecret,
  twilioAccount,
  twilioToken,
} from "./world.ts";

const timeout = 180_000;
const intent = { id: "pi_1", amount: 400, currency: "usd", status: "succeeded", amount_received: 400 };
const echo = (text: string): Behaviour => json(200, { ...intent, note: text });
const base64 = (text: string): string => Buffer.from(text).toString("base64");

/** How the vendor may answer one payment; some answer with its secret. */
const behaviours: Record<string, Behaviour> = {
  success: json(200, intent),
  decline: json(402, { error: { type: "card_error", code: "card_declined", message: "declined" } }),
  "decline with the secret": json(402, { error: { type: "card_error", message: `for ${stripeSecret}` } }),
  "400 with the secret": json(400, { error: { message: `no such key: ${stripeSecret}` } }),
  "401 with the secret": json(401, { error: { message: `Invalid API Key provided: ${stripeSecret}` } }),
  "429 with the secret": json(429, { error: { message: stripeSecret } }),
  "500 with the secret": json(500, { error: { message: stripeSecret } }),
  "500 in HTML with the secret": plain(500, `<html>${stripeSecret}</html>`, { "content-type": "text/html" }),
  "redirect to the secret": json(302, {}, { location: `https://example.com/?key=${encodeURIComponent(stripeSecret)}` }),
  "echo raw": echo(stripeSecret),
  "echo as the object's id": json(200, { ...intent, id: stripeSecret }),
  "echo as the currency": json(200, { ...intent, currency: stripeSecret }),
  "echo in base64": echo(base64(stripeSecret)),
  "echo in base64 behind one byte": echo(base64(`x${stripeSecret}`)),
  "echo in base64 behind two bytes": echo(base64(`xy${stripeSecret}`)),
  "echo URL-escaped": echo(encodeURIComponent(stripeSecret)),
  "echo in a header": json(200, intent, { "request-id": stripeSecret }),
  "echo in chunks": chunked(200, [`{"id":"pi_1","note":"`, stripeSecret.slice(0, 9), stripeSecret.slice(9), `"}`]),
  "cut in the echo": cut(200, `{"id":"pi_1","note":"${stripeSecret}`),
  reset,
};

let world: CanaryWorld;
const vaultKeys: string[] = [];

beforeAll(async () => {
  world = await CanaryWorld.start();
  world.vendor.otherwise = json(200, intent);
  await load();
}, timeout);
afterAll(() => world?.stop());

async function load(): Promise<void> {
  const stripe = await world.issue({ vendor: "stripe", usd_cap: "500.00", label: "canary/stripe" });
  const small = await world.issue({ vendor: "stripe", usd_cap: "5.00", label: "canary/small" });
  const twilio = await world.issue({ vendor: "twilio", usd_cap: "5.00", label: "canary/twilio" });
  vaultKeys.push(stripe.vaultKey, small.vaultKey, twilio.vaultKey);
  await payments(stripe.vaultKey);
  await reads(stripe.vaultKey);
  await texts(twilio.vaultKey);
  await refusals(stripe.vaultKey, small.vaultKey);
  await killAndLookUp(stripe.vaultKey);
  await operators(stripe.keyId);
}

async function payments(vaultKey: string): Promise<void> {
  let task = 0;
  for (const [what, behaviour] of Object.entries(behaviours)) {
    task += 1;
    const body = `amount=400&currency=usd&description=${encodeURIComponent(what)}`;
    for (const attempt of [0, 1]) {
      // A 401 is asked again with the secret fetched anew.
      world.vendor.next(behaviour, ...(what.startsWith("401") ? [behaviour] : []));
      const before = world.vendor.received.length;
      await world.ask(
        `${what}, attempt ${attempt}`,
        form("/stripe/v1/payment_intents", `${vaultKey}~${task}~${attempt}`, body),
      );
      // A repeat that was answered from its receipt leaves the vendor's next behaviour unused.
      if (world.vendor.received.length === before) world.vendor.forget();
    }
  }
}

async function reads(vaultKey: string): Promise<void> {
  for (const behaviour of [
    json(200, { id: "cus_1" }),
    json(200, { id: "cus_1", note: stripeSecret }),
    chunked(200, ["a".repeat(4000), ...stripeSecret.match(/.{1,7}/g)!, "b".repeat(4000)]),
    plain(200, `${"z".repeat(1_200_000)}${stripeSecret}${"z".repeat(1000)}`),
    json(404, { error: { message: stripeSecret } }),
  ]) {
    world.vendor.next(behaviour);
    await world.ask("a read", request("GET", "/stripe/v1/customers/cus_1", vaultKey, ""));
  }
}

async function texts(vaultKey: string): Promise<void> {
  const target = `/twilio/2010-04-01/Accounts/${twilioAccount}/Messages.json`;
  const message = { sid: "SM1", account_sid: twilioAccount, status: "queued", price: null, num_segments: "1" };
  const basic = base64(`${twilioAccount}:${twilioToken}`);
  for (const body of [message, { ...message, note: twilioToken }, { ...message, note: basic }]) {
    world.vendor.next(json(201, body));
    await world.ask("a text", form(target, vaultKey, "To=%2B14155550101&From=%2B15005550001&Body=hi"));
  }
}

/** Clients that put credentials where they do not belong, and every refusal that is easily had. */
async function refusals(vaultKey: string, small: string): Promise<void> {
  const pay = "/stripe/v1/payment_intents";
  const asked: Record<string, string> = {
    "over the cap": form(pay, small, "amount=501&currency=usd"),
    "another currency": form(pay, vaultKey, "amount=501&currency=eur"),
    "a broken body": form(pay, vaultKey, "amount=1&amount=2"),
    "an unknown endpoint": form("/stripe/v1/payouts", vaultKey, "amount=1&currency=usd"),
    "the admin key as a vault key": form(pay, adminKey, "amount=400&currency=usd"),
    "a vault key with another end": form(pay, `${vaultKey.slice(0, -1)}A`, "amount=400&currency=usd"),
    "a vault key to the control plane": request("GET", "/vault/keys", vaultKey, ""),
    "the vault key in the path": request("GET", `/stripe/v1/customers/${vaultKey}`, vaultKey, ""),
    "the vault key in the path of a write": form(`/stripe/v1/payment_intents/${vaultKey}/cancel`, vaultKey, ""),
    "the vault key in the query": request("GET", `/stripe/v1/customers?email=${vaultKey}`, vaultKey, ""),
    "the vault key as a vendor": request("GET", `/${vaultKey}/v1/customers`, vaultKey, ""),
    "the vault key as the whole path": request("GET", `/${vaultKey}`, vaultKey, ""),
    "the vault key as a field": form(pay, vaultKey, `amount=400&currency=usd&${vaultKey}=1`),
    "the vault key as a value": form(pay, vaultKey, `amount=400&currency=usd&description=${vaultKey}`),
    "the vault key as an amount": form(pay, vaultKey, `amount=${vaultKey}&currency=usd`),
    "the vault key as a currency": form(pay, vaultKey, `amount=400&currency=${vaultKey}`),
    "the vault key as an idempotency key": form(pay, vaultKey, "amount=401&currency=usd", [
      `idempotency-key: ${vaultKey}`,
    ]),
    "the vault key as a dedupe text": form(pay, vaultKey, "amount=402&currency=usd", [
      `x-keybrake-dedupe: ${vaultKey}`,
    ]),
    "the vault key as a method": `${vaultKey} / HTTP/1.1\r\n\r\n`,
    "no HTTP at all": `${vaultKey}\r\n\r\n`,
    "the vault key as a trace": form(pay, vaultKey, "amount=403&currency=usd", [
      `x-cloud-trace-context: ${vaultKey}/1`,
    ]),
  };
  for (const [what, bytes] of Object.entries(asked)) await world.ask(what, bytes);
  await world.admin("GET", `/vault/keys/${vaultKey}`);
  await world.admin("GET", `/vault/keys?label=${vaultKey}`);
  await world.admin("GET", `/audit?key_id=${vaultKey}`);
  await world.admin("DELETE", `/vault/keys/${vaultKey}`);
  await world.admin("GET", `/vault/keys/${adminKey.replace(/[/+=]/g, "")}`);
}

async function killAndLookUp(vaultKey: string): Promise<void> {
  const body = "amount=405&currency=usd";
  world.vendor.next(() => {});
  const before = world.vendor.received.length;
  const waiting = world.ask("a call that met the kill", form("/stripe/v1/payment_intents", `${vaultKey}~900~0`, body));
  await world.vendor.whenReceived(before + 1);
  for (const kept of world.files()) diskWhileRunning.push({ ...kept, what: `${kept.what}, while running` });
  world.keepLogs("log until the kill");
  await world.proxy.restart();
  await waiting;
  // The vendor echoes its secret to every look-up.
  world.vendor.otherwise = json(200, { object: "list", has_more: false, data: [{ ...intent, note: stripeSecret }] });
  await world.admin("POST", "/reconcile");
  world.vendor.otherwise = json(401, { error: { message: stripeSecret } });
  await world.admin("POST", "/reconcile");
  world.vendor.otherwise = json(200, intent);
  await world.ask("attempt 1", form("/stripe/v1/payment_intents", `${vaultKey}~900~1`, body));
}

const diskWhileRunning: Kept[] = [];

async function operators(keyId: string): Promise<void> {
  await world.admin("POST", `/vault/keys/${keyId}/pause`, { reason: "canary" });
  await world.admin("POST", `/vault/keys/${keyId}/resume`);
  await world.admin("POST", `/vault/keys/${keyId}/raise`, { usd_cap: "600.00" });
  for (const accept of ["application/json", "application/x-ndjson", "text/csv"]) {
    await world.admin("GET", "/audit?limit=200", null, accept);
  }
  await world.admin("GET", "/audit", null, "text/csv");
  await world.admin("GET", "/audit", null, "application/x-ndjson");
  for (const by of ["task", "vendor", "endpoint", "execution"])
    await world.admin("GET", `/audit/summary?group_by=${by}`);
  for (const accept of ["application/json", "application/x-ndjson"]) {
    await world.admin("GET", `/vault/keys/${keyId}/proof`, null, accept);
  }
  for (const target of ["/vault/keys", `/vault/keys/${keyId}`, "/openapi.json", "/health"])
    await world.admin("GET", target);
  const page = (await world.admin("GET", "/audit?state=unknown&limit=5")).body;
  const callId = /"call_id":"([^"]+)"/.exec(page)?.[1];
  expect(callId).toBeDefined();
  await world.admin("GET", `/calls/${callId}`);
  await world.admin("POST", `/calls/${callId}/settle`, { cost_usd: "4.00", reason: "canary" });
  const env = { KEYBRAKE_URL: world.proxy.url, KEYBRAKE_ADMIN_KEY: adminKey };
  const commands = [
    ["keys", "list"],
    ["keys", "show", keyId],
    ["keys", "show", vaultKeys[0]!],
    ["keys", "proof", keyId, "--records"],
    ["keys", "issue", "--wrong", adminKey],
    ["calls", "show", callId!],
    ["audit", "--format", "csv"],
    ["audit", "--format", "table"],
    ["reconcile"],
    ["keys", "show", keyId, "--admin-key", `${adminKey}x`],
  ];
  for (const args of commands) {
    const { stdout, stderr } = await runCli(args, { env });
    const what = `keybrake ${args.slice(0, 2).join(" ")}`;
    world.answers.push({ what, bytes: Buffer.from(`${stdout}\n${stderr}`) });
  }
  await world.admin("DELETE", `/vault/keys/${keyId}`);
}

function search(places: readonly Kept[], canaries: readonly Canary[]): string[] {
  return places.flatMap(({ what, bytes }) =>
    canaries.flatMap((each) => findIn(bytes, each).map((at) => `${what} → ${at}`)),
  );
}

/** Never to be seen anywhere. */
const rootSecrets = [
  canaryOf("Stripe's secret", stripeSecret, { pieces: true }),
  canaryOf("Twilio's token", twilioToken, { pieces: true }),
  canaryOf("Twilio's credential", base64(`${twilioAccount}:${twilioToken}`)),
  canaryOf("the admin key", adminKey, { pieces: true }),
  canaryOf("the pepper's digits", pepper, { pieces: true }),
  canaryOf("the pepper", Buffer.from(pepper, "hex"), { pieces: true }),
];

/** Whole, the end of it alone, and the bytes that the end stands for. */
const ofVaultKey = (text: string): Canary[] => {
  const mac = text.slice(text.lastIndexOf("_") + 1).slice(0, 43);
  return [
    canaryOf("a vault key", text),
    canaryOf("a vault key's end", mac, { pieces: true }),
    canaryOf("a vault key's HMAC", Buffer.from(mac, "base64url"), { pieces: true }),
  ];
};

describe("the search itself", () => {
  it("finds a canary in each form, wherever it stands", () => {
    const hay = Buffer.from("x".repeat(1001));
    for (const canary of [...rootSecrets, ...ofVaultKey(vaultKeys[0]!)]) {
      expect(findIn(hay, canary)).toEqual([]);
      for (const [name, form] of canary.forms) {
        expect(findIn(Buffer.concat([hay, form, hay]), canary)).toContain(`${canary.name}: ${name}`);
      }
      const raw = canary.forms.get("raw")!;
      for (const before of ["", "a", "ab", "abc"]) {
        const hidden = Buffer.from(Buffer.concat([Buffer.from(before), raw, Buffer.from("tail")]).toString("base64"));
        expect(findIn(hidden, canary)).not.toEqual([]);
      }
    }
  });

  it("sees a load in which the vendor got the real secrets and said them, and every kind of state came up", () => {
    const authorizations = new Set(world.vendor.received.map(({ headers }) => headers.get("authorization")));
    expect(authorizations).toEqual(
      new Set([`Bearer ${stripeSecret}`, `Basic ${base64(`${twilioAccount}:${twilioToken}`)}`]),
    );
    const audit = world.answers.findLast(({ what }) => what === "GET /audit as text/csv")!.bytes.toString();
    for (const state of ["settled", "released", "unknown", "refused"]) expect(audit).toContain(`,${state},`);
    expect(world.logs[0]!.bytes.length).toBeGreaterThan(1000);
    expect(world.answers.length).toBeGreaterThan(80);
    for (const { what, bytes } of world.answers) {
      if (what !== "a call that met the kill") expect([what, bytes.length > 1]).toEqual([what, true]);
    }
  });
});

describe("nothing of a secret", () => {
  it("is in an answer, an export, a proof, the description or the command line's output", () => {
    expect(search([...world.issued, ...world.answers], rootSecrets)).toEqual([]);
  });

  it("and nothing of a vault key either, but for the answer that issues it", () => {
    const canaries = vaultKeys.flatMap(ofVaultKey);
    expect(search(world.issued, canaries).length).toBeGreaterThan(0);
    expect(search(world.answers, canaries)).toEqual([]);
  });

  it("is in the database's files, its rows or the logs, nor anything of a vault key", { timeout }, async () => {
    world.keepLogs("log after the kill");
    expect(await world.proxy.terminate()).toBe(0);
    world.keepLogs("log until the end");
    const canaries = [...rootSecrets, ...vaultKeys.flatMap(ofVaultKey)];
    const files = [...diskWhileRunning, ...world.files()];
    expect(files.map(({ what }) => what)).toEqual(
      expect.arrayContaining(["keybrake.db, while running", "keybrake.db-wal, while running", "keybrake.db"]),
    );
    const rows = world.rows();
    expect(rows.filter(({ what, bytes }) => what === "table calls" && bytes.length > 10_000)).toHaveLength(1);
    expect(search([...files, ...rows, ...world.logs], canaries)).toEqual([]);
  });
});
