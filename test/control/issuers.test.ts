/**
 * Goal: a caller outside Google Cloud acts under one policy by a key that is shown once, stored nowhere and stopped at once; and what
 * it is issued stays within that policy, also when the policy changes in between. Method: the control plane over HTTP on the real
 * ledger with the store in memory; the command line against it. Limit: one process; the day's sum under contention is the ledger's suite.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { issuerKeyText } from "../../service/control/issuer-key.ts";
import { runHere } from "../cli/run-here.ts";
import { budgetDoc, type Doc, OPERATOR, policyDoc } from "../policies/fixture.ts";
import type { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, keyBody, START } from "./harness.ts";
import { AUDIENCE, type IdentitiesWorld, ISSUER_POLICY, startIdentities } from "./identities-world.ts";

let world: IdentitiesWorld;
beforeEach(async () => {
  world = await startIdentities();
});
afterEach(() => world.close());

async function newIssuer(policy = ISSUER_POLICY): Promise<{ id: string; text: string; client: ControlClient }> {
  const { status, json, text } = await world.client.post("/issuers", { policy });
  if (status !== 201) throw new Error(text);
  const key = String(json.issuer_key);
  return { id: String(json.issuer_id), text: key, client: world.bearer(key) };
}

function setPolicy(budget: Doc, more: Doc = {}): void {
  world.policies.docs.set(
    ISSUER_POLICY,
    policyDoc([], { issuer_may: ["issue", "read"], budget: budgetDoc(budget), ...more }),
  );
}

describe("POST /issuers", () => {
  test("201 answers the key's text, which no other answer and no record holds", async () => {
    const answer = await world.client.post("/issuers", { policy: ISSUER_POLICY, label: "trigger-dev" });
    expect(answer.status).toBe(201);
    expect(answer.json).toMatchObject({
      policy: ISSUER_POLICY,
      label: "trigger-dev",
      status: "active",
      created_by: "admin key",
      created_at: new Date(START).toISOString(),
      revoked_at: null,
    });
    const { issuer_id: id, issuer_key: key } = answer.json as { issuer_id: string; issuer_key: string };
    expect(key).toMatch(new RegExp(`^kbi_1_${id}_[A-Za-z0-9_-]{43}$`));
    const secret = key.split("_").slice(3).join("_");
    expect((await world.client.get("/issuers")).text).not.toContain(secret);
    expect((await world.client.delete(`/issuers/${id}`)).text).not.toContain(secret);
    expect(JSON.stringify(await world.store.record("issuer", id))).not.toContain(secret);
    expect(world.logged.join()).not.toContain(secret);
  });

  test("201 under a policy that says `issuers` and sees all, whose account then ends the key; another operator may not", async () => {
    const chief = "chief@example.com";
    world.policies.docs.set("chiefs", policyDoc([{ email: chief, may: ["issuers"] }], { sees: "all" }));
    const made = await world.as(chief).post("/issuers", { policy: ISSUER_POLICY });
    expect([made.status, made.json.created_by]).toEqual([201, `${chief} (policy chiefs)`]);
    const holder = world.bearer(String(made.json.issuer_key));
    expect((await holder.get("/vault/keys")).status).toBe(200);
    const target = `/issuers/${String(made.json.issuer_id)}`;
    const refused = await world.as(OPERATOR).delete(target);
    expect([refused.status, refused.json.message]).toEqual([403, expect.stringContaining("let you issuers")]);
    expect((await holder.post("/issuers", { policy: ISSUER_POLICY })).status).toBe(403);
    const ended = await world.as(chief).delete(target);
    expect([ended.status, ended.json.revoked_by]).toEqual([200, `${chief} (policy chiefs)`]);
    expect((await holder.get("/vault/keys")).status).toBe(401);
  });

  test("404 for a policy that is not there", async () => {
    const answer = await world.client.post("/issuers", { policy: "none" });
    expect([answer.status, answer.json.code]).toEqual([404, "not_found"]);
  });

  test("403 for a policy that takes no issuer keys, and for one that is wrong", async () => {
    expect((await world.client.post("/issuers", { policy: "ops" })).json.message).toMatch(/list `issuer_may`/);
    setPolicy({ vendors: ["strpe"] });
    expect((await world.client.post("/issuers", { policy: ISSUER_POLICY })).status).toBe(403);
  });

  test("400 for a policy's id that none can have", async () => {
    expect((await world.client.post("/issuers", { policy: "../ops" })).status).toBe(400);
  });
});

describe("GET /issuers", () => {
  test("200 lists all in pages, with who revoked them", async () => {
    const made = await Promise.all([newIssuer(), newIssuer(), newIssuer()]);
    await world.client.delete(`/issuers/${made[0].id}`);
    const first = await world.client.get("/issuers?limit=2");
    const second = await world.client.get(`/issuers?limit=2&cursor=${String(first.json.next_cursor)}`);
    const rows = [first, second].flatMap(({ json }) => json.issuers as Record<string, unknown>[]);
    expect(rows.map((row) => row.issuer_id)).toEqual(made.map(({ id }) => id).sort());
    expect(rows.find((row) => row.issuer_id === made[0].id)).toMatchObject({
      status: "revoked",
      revoked_by: "admin key",
    });
    expect(second.json.next_cursor).toBeNull();
  });
});

describe("DELETE /issuers/{issuer_id}", () => {
  test("200, and its key is refused at once as any wrong text is", async () => {
    const { id, client } = await newIssuer();
    expect((await client.get("/vault/keys")).status).toBe(200);
    expect((await world.client.delete(`/issuers/${id}`)).json.status).toBe("revoked");
    const refused = await client.get("/vault/keys");
    expect([refused.status, refused.text]).toEqual([401, (await world.anonymous.get("/vault/keys")).text]);
  });

  test("200 again, with the first one's time", async () => {
    const { id } = await newIssuer();
    const first = await world.client.delete(`/issuers/${id}`);
    world.forward(1000);
    expect((await world.client.delete(`/issuers/${id}`)).json).toEqual(first.json);
  });

  test("404 for an issuer that is not there", async () => {
    expect((await world.client.delete(`/issuers/${"a".repeat(26)}`)).status).toBe(404);
  });

  test("leaves the vault keys that it issued", async () => {
    const { id, client } = await newIssuer();
    const { json } = await client.post("/vault/keys", keyBody("run-1"));
    await world.client.delete(`/issuers/${id}`);
    expect((await world.client.get(`/vault/keys/${String(json.key_id)}`)).json.status).toBe("active");
  });
});

describe("an issuer key", () => {
  test("is named in the chain of what it issues", async () => {
    const { id, client } = await newIssuer();
    const { json } = await client.post("/vault/keys", keyBody("run-1"));
    expect(json.owner).toBe(`policy:${ISSUER_POLICY}`);
    const proof = await world.client.get(`/vault/keys/${String(json.key_id)}/proof`);
    expect((proof.json.calls as { by: string }[])[0]?.by).toBe(`issuer ${id} (policy ${ISSUER_POLICY})`);
  });

  test("that is changed in any character is refused", async () => {
    const { text } = await newIssuer();
    for (let at = 0; at < text.length; at += 1) {
      const other = text[at] === "a" ? "b" : "a";
      const changed = text.slice(0, at) + other + text.slice(at + 1);
      expect((await world.bearer(changed).get("/vault/keys")).status, changed).toBe(401);
    }
    // The last letter of the MAC has two bits to spare.
    const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const respelt = text.slice(0, -1) + letters[letters.indexOf(text.at(-1)!) ^ 1]!;
    expect((await world.bearer(respelt).get("/vault/keys")).status).toBe(401);
    expect((await world.bearer(`${text}~0~0`).get("/vault/keys")).status).toBe(401);
  });

  test("made of a vault key's text is refused, and the other way round", async () => {
    const { id, text, client } = await newIssuer();
    const { json } = await client.post("/vault/keys", keyBody("run-1"));
    const macOf = (key: string) => key.split("_").slice(3).join("_");
    const made = `kbi_1_${String(json.key_id)}_${macOf(String(json.vault_key))}`;
    expect((await world.bearer(made).get("/vault/keys")).status).toBe(401);
    expect((await world.bearer(String(json.vault_key)).get("/vault/keys")).status).toBe(401);
    expect(world.vaultKeys.verify(`vk_1_${id}_${macOf(text)}`)).toBeNull();
  });

  test("without a record is refused: a store that was put back knows no later issuers", async () => {
    const text = issuerKeyText("b".repeat(26), world.vaultKeys);
    expect((await world.bearer(text).get("/vault/keys")).status).toBe(401);
  });

  test("does what its policy says now: 403 when that is gone, wrong, or takes no issuer keys any more", async () => {
    const { client } = await newIssuer();
    setPolicy({}, { issuer_may: ["read"] });
    expect((await client.post("/vault/keys", keyBody("run-1"))).status).toBe(403);
    expect((await client.get("/vault/keys")).status).toBe(200);
    setPolicy({}, { issuer_may: [] });
    expect((await client.get("/vault/keys")).json.message).toMatch(/takes no issuer keys/);
    setPolicy({ vendors: ["strpe"] });
    expect((await client.get("/vault/keys")).status).toBe(403);
    world.policies.docs.delete(ISSUER_POLICY);
    expect((await client.get("/vault/keys")).json.message).toMatch(/is gone/);
  });
});

describe("POST /vault/keys under a policy", () => {
  test("201 with what is reduced, and 200 with the same on a repeat, though the policy has changed", async () => {
    setPolicy({ usd_cap: 20, expires_in: "1h" });
    const { client } = await newIssuer();
    const first = await client.post("/vault/keys", keyBody("run-1"));
    expect(first.status).toBe(201);
    expect(first.json).toMatchObject({ cap_usd: "20.00", reduced: ["usd_cap", "expires_in"] });
    setPolicy({ usd_cap: 900, expires_in: "7d" });
    const second = await client.post("/vault/keys", keyBody("run-1"));
    expect([second.status, second.json.vault_key]).toEqual([200, first.json.vault_key]);
    expect(second.json).toMatchObject({ cap_usd: "20.00", reduced: ["usd_cap", "expires_in"] });
  });

  test("200 on a repeat though the policy allows none of it any more; a new label is 403", async () => {
    const { client } = await newIssuer();
    const first = await client.post("/vault/keys", keyBody("run-1"));
    setPolicy({ allowed_endpoints: ["GET *"] });
    const repeat = await client.post("/vault/keys", keyBody("run-1"));
    expect([repeat.status, repeat.json.vault_key]).toEqual([200, first.json.vault_key]);
    expect((await client.post("/vault/keys", keyBody("run-1", { usd_cap: 1 }))).status).toBe(409);
    const other = await client.post("/vault/keys", keyBody("run-2"));
    expect([other.status, other.json.code]).toEqual([403, "policy_denied"]);
    expect(other.json.message).toMatch(/allows none of the endpoints that you ask for; it has `GET \*`/);
  });

  test("409 for another body, however little the policy would give of both", async () => {
    setPolicy({ usd_cap: 20 });
    const { client } = await newIssuer();
    await client.post("/vault/keys", keyBody("run-1"));
    const other = await client.post("/vault/keys", keyBody("run-1", { usd_cap: 600 }));
    expect([other.status, other.json.code]).toEqual([409, "label_conflict"]);
  });

  test("403 when the day's sum is reached, by what was granted and not by what was asked; a repeat costs nothing", async () => {
    setPolicy({ usd_cap: 20, issued_usd_per_day: 50 });
    const { client } = await newIssuer();
    expect((await client.post("/vault/keys", keyBody("run-1"))).status).toBe(201);
    expect((await client.post("/vault/keys", keyBody("run-2"))).status).toBe(201);
    expect((await client.post("/vault/keys", keyBody("run-1"))).status).toBe(200);
    const third = await client.post("/vault/keys", keyBody("run-3"));
    expect([third.status, third.json.code]).toEqual([403, "policy_denied"]);
    expect(third.json.message).toMatch(/\$10\.00 is left/);
    expect((await client.post("/vault/keys", keyBody("run-3", { usd_cap: 10 }))).status).toBe(201);
    world.forward(24 * 3_600_000);
    expect((await client.post("/vault/keys", keyBody("run-4"))).status).toBe(201);
  });

  test("201 once of 32 at one time, and the day counts one", async () => {
    setPolicy({ usd_cap: 20, issued_usd_per_day: 40 });
    const { client } = await newIssuer();
    const answers = await Promise.all(Array.from({ length: 32 }, () => client.post("/vault/keys", keyBody("run-1"))));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(31);
    expect((await client.post("/vault/keys", keyBody("run-2"))).status).toBe(201);
  });
});

describe("keybrake issuers", () => {
  const env = (more: Record<string, string> = {}) => ({ KEYBRAKE_URL: world.url, ...more });
  const admin = () => ({ env: env({ KEYBRAKE_ADMIN_KEY: ADMIN_KEY }) });

  test("create, list and revoke work on a key that keybrake then uses as KEYBRAKE_TOKEN", async () => {
    const made = await runHere(["issuers", "create", "--policy", ISSUER_POLICY, "--label", "laptop"], admin());
    expect(made.code, made.stderr).toBe(0);
    const { issuer_id: id, issuer_key: key } = JSON.parse(made.stdout) as { issuer_id: string; issuer_key: string };
    const token = { env: env({ KEYBRAKE_TOKEN: key }) };
    expect((await runHere(["keys", "list"], token)).code).toBe(0);
    const listed = await runHere(["issuers", "list"], { ...admin(), terminal: true });
    expect(listed.stdout).toMatch(new RegExp(`${id} +outside +laptop +active`));
    expect((await runHere(["issuers", "revoke", id], admin())).code).toBe(0);
    const refused = await runHere(["keys", "list"], token);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/check KEYBRAKE_TOKEN or --token-file/);
    expect(refused.stderr).not.toContain(key);
  });

  test("takes an ID token as KEYBRAKE_TOKEN too, and the admin key where both are set", async () => {
    const token = world.google.idToken(OPERATOR, AUDIENCE);
    expect((await runHere(["reconcile"], { env: env({ KEYBRAKE_TOKEN: token }) })).code).toBe(0);
    const denied = await runHere(["issuers", "list"], { env: env({ KEYBRAKE_TOKEN: token }) });
    expect(denied.stderr).toMatch(/policy_denied/);
    const both = { env: env({ KEYBRAKE_TOKEN: token, KEYBRAKE_ADMIN_KEY: ADMIN_KEY }) };
    expect((await runHere(["issuers", "list"], both)).code).toBe(0);
  });

  test("revoke does not repeat the text of a key that was given for its id", async () => {
    const { text } = await newIssuer();
    const result = await runHere(["issuers", "revoke", text], admin());
    expect(result.code).toBe(2);
    expect(result.stdout + result.stderr).not.toContain(text);
  });
});
