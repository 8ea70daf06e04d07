/**
 * Goal: the proxy as it starts from its variables knows its callers: policies from a file, ID tokens for its audience, issuer keys
 * that outlive a restart. Method: the whole proxy on loopback with the embedded store in a file, Google's key set beside it. Limit:
 * Firestore's policies and several instances are other suites'.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createGoogleIdentity } from "../../examples/local-cloud/google-identity.ts";
import { type LocalServer, serveLocalApis } from "../../examples/local-cloud/local-api.ts";
import { startProxy, type Proxy as WholeProxy } from "../../service/app.ts";
import { systemClock, systemRandom } from "../../service/clock.ts";
import { readConfig } from "../../service/config.ts";
import { createLogger } from "../../service/log.ts";
import { budgetDoc, jobDoc, OPERATOR, policyDoc } from "../policies/fixture.ts";
import { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, keyBody } from "./harness.ts";

const AUDIENCE = "keybrake/my-project/us-central1/keybrake";
const google = createGoogleIdentity();
const directory = mkdtempSync(join(tmpdir(), "keybrake-identities-"));
const policies = join(directory, "policies.json");
let apis: LocalServer;

const operator = policyDoc([{ email: OPERATOR, may: ["issue", "read"] }], {
  issuer_may: ["issue"],
  budget: budgetDoc({ usd_cap: 20 }),
});

function start(more: Record<string, string> = {}): Promise<WholeProxy> {
  const config = readConfig({
    PORT: "0",
    KEYBRAKE_STORE: `sqlite:${join(directory, "keybrake.db")}`,
    KEYBRAKE_ADMIN_KEY: ADMIN_KEY,
    KEYBRAKE_VENDORS: '{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}',
    STRIPE_SECRET_KEY: "sk_test_identities",
    KEYBRAKE_AUDIENCE: AUDIENCE,
    KEYBRAKE_POLICIES: policies,
    KEYBRAKE_GOOGLE_APIS: apis.url,
    ...more,
  });
  const log = createLogger({ write: () => {} });
  return startProxy({ config, clock: systemClock, random: systemRandom, log, announceAdminKey: () => {} });
}

beforeAll(async () => {
  apis = await serveLocalApis([google.api]);
  writeFileSync(policies, JSON.stringify({ ops: operator, nightly: jobDoc() }));
});
afterAll(async () => {
  await apis.close();
  rmSync(directory, { recursive: true });
});

describe("a proxy that is started with policies and an audience", () => {
  test("takes an ID token of a principal, and an issuer key also after a restart", async () => {
    let proxy = await start();
    const mine = new ControlClient(proxy.url, google.idToken(OPERATOR, AUDIENCE));
    const issued = await mine.post("/vault/keys", keyBody("run-1"));
    expect(issued.json).toMatchObject({ owner: "policy:ops", cap_usd: "20.00", reduced: ["usd_cap"] });
    const made = await new ControlClient(proxy.url, ADMIN_KEY).post("/issuers", { policy: "ops" });
    await proxy.close();

    proxy = await start();
    const outside = new ControlClient(proxy.url, String(made.json.issuer_key));
    const again = await outside.post("/vault/keys", keyBody("run-1"));
    expect([again.status, again.json.vault_key]).toEqual([200, issued.json.vault_key]);
    await proxy.close();
  });

  test("refuses a token for another proxy", async () => {
    const proxy = await start({ KEYBRAKE_AUDIENCE: `${AUDIENCE}-2` });
    const answer = await new ControlClient(proxy.url, google.idToken(OPERATOR, AUDIENCE)).get("/vault/keys");
    await proxy.close();
    expect(answer.status).toBe(401);
  });

  test("does not start with a wrong policy, and says which and why", async () => {
    const wrong = join(directory, "wrong.json");
    writeFileSync(wrong, JSON.stringify({ ops: { ...operator, budget: budgetDoc({ vendors: ["strpe"] }) } }));
    await expect(start({ KEYBRAKE_POLICIES: wrong })).rejects.toThrow(
      /^KEYBRAKE_POLICIES: in .*wrong\.json the policy ops is wrong: .*no vendor strpe; this proxy has stripe/,
    );
  });
});
