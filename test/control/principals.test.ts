/**
 * Goal: every route lets through exactly who may use it. Method: every route of the proxy, asked by every kind of caller over HTTP,
 * against a table; a route that is not in the table fails. Limit: a status proves who is let in, not what the route then does; and
 * what a caller sees of others' keys is the second half, on keys of two owners.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { routes } from "../../service/control/routes.ts";
import { OPERATOR, policyDoc, SCHEDULER, TASKS } from "../policies/fixture.ts";
import type { ControlAnswer, ControlClient } from "../support/control-client.ts";
import { issueKey, keyBody, makeCall } from "./harness.ts";
import { EXECUTION, type IdentitiesWorld, ISSUER_POLICY, JOB, startIdentities } from "./identities-world.ts";

/** An operator who may read, decide and make issuer keys, and nothing else; {@link OPERATOR} may do the rest. */
const CHIEF = "chief@example.com";

const callers = ["nobody", "wrongToken", "tasks", "scheduler", "operator", "chief", "issuer", "admin"] as const;
type Caller = (typeof callers)[number];

/** Of a request for something that is the admin's: 404 says that the route was open and the thing not there for this caller. */
const table: Record<string, Record<Caller, number>> = {
  "POST /vault/keys": statuses(401, 401, 403, 403, 403, 403, 201, 201),
  "GET /vault/keys": statuses(401, 401, 200, 403, 200, 200, 200, 200),
  "GET /vault/keys/{key_id}": statuses(401, 401, 404, 403, 200, 200, 404, 200),
  "DELETE /vault/keys/{key_id}": statuses(401, 401, 404, 403, 200, 403, 404, 200),
  "POST /vault/keys/{key_id}/pause": statuses(401, 401, 403, 403, 200, 403, 403, 200),
  "POST /vault/keys/{key_id}/resume": statuses(401, 401, 403, 403, 200, 403, 403, 200),
  "POST /vault/keys/{key_id}/raise": statuses(401, 401, 403, 403, 200, 403, 403, 200),
  "GET /vault/keys/{key_id}/proof": statuses(401, 401, 404, 403, 200, 200, 404, 200),
  "GET /audit": statuses(401, 401, 200, 403, 200, 200, 200, 200),
  "GET /audit/summary": statuses(401, 401, 200, 403, 200, 200, 200, 200),
  "GET /calls/{call_id}": statuses(401, 401, 404, 403, 200, 200, 404, 200),
  "POST /calls/{call_id}/settle": statuses(401, 401, 403, 403, 403, 200, 403, 200),
  "POST /calls/{call_id}/release": statuses(401, 401, 403, 403, 403, 200, 403, 200),
  "POST /reconcile": statuses(401, 401, 403, 403, 200, 403, 403, 200),
  "POST /issuers": statuses(401, 401, 403, 403, 403, 201, 403, 201),
  "GET /issuers": statuses(401, 401, 403, 403, 403, 200, 403, 200),
  "DELETE /issuers/{issuer_id}": statuses(401, 401, 403, 403, 403, 200, 403, 200),
  "POST /jobs/{job}/executions": statuses(401, 401, 403, 201, 201, 403, 403, 201),
  "POST /jobs/{job}/executions/{execution}/claim": statuses(401, 401, 201, 403, 403, 403, 403, 403),
  "GET /health": statuses(200, 200, 200, 200, 200, 200, 200, 200),
  "GET /openapi.json": statuses(200, 200, 200, 200, 200, 200, 200, 200),
};

function statuses(...list: [number, number, number, number, number, number, number, number]): Record<Caller, number> {
  return Object.fromEntries(callers.map((caller, index) => [caller, list[index]!])) as Record<Caller, number>;
}

let world: IdentitiesWorld;
let clients: Record<Caller, ControlClient>;

async function newIssuer(): Promise<{ id: string; key: string }> {
  const { json } = await world.client.post("/issuers", { policy: ISSUER_POLICY });
  return { id: String(json.issuer_id), key: String(json.issuer_key) };
}

beforeAll(async () => {
  world = await startIdentities();
  world.policies.docs.set("chiefs", policyDoc([{ email: CHIEF, may: ["read", "decide", "issuers"] }], { sees: "all" }));
  clients = {
    nobody: world.anonymous,
    wrongToken: world.bearer(world.google.idToken(OPERATOR, "another-audience")),
    tasks: world.as(TASKS),
    scheduler: world.as(SCHEDULER),
    operator: world.as(OPERATOR),
    chief: world.as(CHIEF),
    issuer: world.bearer((await newIssuer()).key),
    admin: world.client,
  };
});
afterAll(() => world.close());

const bodies: Record<string, (label: string) => unknown> = {
  "POST /vault/keys": (label) => keyBody(label),
  "POST /vault/keys/{key_id}/pause": () => ({ reason: "a test" }),
  "POST /vault/keys/{key_id}/raise": () => ({ usd_cap: 700 }),
  "POST /calls/{call_id}/settle": () => ({ cost_usd: 1, reason: "a test" }),
  "POST /calls/{call_id}/release": () => ({ reason: "a test" }),
  "POST /issuers": () => ({ policy: ISSUER_POLICY }),
  "POST /jobs/{job}/executions": (label) => ({ label }),
};

let count = 0;

/** Asks for things of the admin's that were made for this request alone. */
async function ask(caller: Caller, name: string): Promise<ControlAnswer> {
  const [method, path] = name.split(" ") as [string, string];
  count += 1;
  const label = `run-${count}`;
  const { keyId } =
    path.includes("{key_id}") || path.includes("{call_id}") ? await issueKey(world, label) : { keyId: "" };
  const call = path.includes("{call_id}") ? await makeCall(world, keyId, "unknown") : null;
  const target = path
    .replace("{key_id}", keyId)
    .replace("{call_id}", call?.id ?? "")
    .replace("{issuer_id}", path.includes("{issuer_id}") ? (await newIssuer()).id : "")
    .replace("{job}", JOB)
    .replace("{execution}", EXECUTION);
  const body = bodies[name]?.(`${label}-asked`);
  return clients[caller].send(method, target, body === undefined ? {} : { body });
}

describe("every route, as every caller", () => {
  const names = routes.map((route) => `${route.method.toUpperCase()} ${route.path}`);

  test("is in the table", () => {
    expect(Object.keys(table).sort()).toEqual([...names].sort());
  });

  for (const name of names) {
    for (const caller of callers) {
      const expected = table[name]?.[caller];
      test(`${name} as ${caller} is ${expected}`, async () => {
        const answer = await ask(caller, name);
        expect(answer.status, answer.text).toBe(expected);
      });
    }
  }
});

describe("keys of a policy", () => {
  test("are seen and revoked by its principals, by the operator who sees all and by the admin, and by no other policy", async () => {
    const claimed = await clients.tasks.post(`/jobs/${JOB}/executions/nightly-seen1/claim`);
    const target = `/vault/keys/${String(claimed.json.key_id)}`;
    for (const [caller, status] of [
      ["tasks", 200],
      ["operator", 200],
      ["admin", 200],
      ["issuer", 404],
    ] as const) {
      expect((await clients[caller].get(target)).status, caller).toBe(status);
    }
    expect((await clients.admin.get(target)).json.owner).toBe(`policy:${JOB}`);
    expect((await clients.issuer.delete(target)).status).toBe(404);
    expect((await clients.admin.get(target)).json.status).toBe("active");
    expect((await clients.tasks.delete(target)).status).toBe(200);
  });

  test("are the only ones in its lists and in its audit", async () => {
    await clients.issuer.post("/vault/keys", keyBody("outside-list"));
    const { keyId } = await issueKey(world, "admin-list");
    const call = await makeCall(world, keyId, "settled");
    const keys = (await clients.issuer.get("/vault/keys")).json.keys as { owner: string }[];
    expect(new Set(keys.map(({ owner }) => owner))).toEqual(new Set([`policy:${ISSUER_POLICY}`]));
    expect((await clients.issuer.get("/vault/keys?label=admin-list")).json.keys).toEqual([]);
    expect((await clients.issuer.get("/audit?label=admin-list")).json.calls).toEqual([]);
    expect((await clients.issuer.get(`/audit?key_id=${keyId}`)).json.calls).toEqual([]);
    expect((await clients.issuer.get("/audit/summary?label=admin-list")).json.groups).toEqual([]);
    const seen = (await clients.operator.get("/audit?label=admin-list")).json.calls as { call_id: string }[];
    expect(seen.map((each) => each.call_id)).toEqual([call.id]);
  });

  test("have labels of their own: the same label is another key under another policy", async () => {
    const [mine, theirs] = [
      await clients.admin.post("/vault/keys", keyBody("shared-label")),
      await clients.issuer.post("/vault/keys", keyBody("shared-label")),
    ];
    expect([mine.status, theirs.status]).toEqual([201, 201]);
    expect(mine.json.key_id).not.toBe(theirs.json.key_id);
  });
});

describe("a caller whom Google vouches for", () => {
  test("and whom no policy lists is refused with 403, which names the account", async () => {
    const answer = await world.as("eve@example.com").get("/vault/keys");
    expect(answer.status).toBe(403);
    expect(answer.json.message).toMatch(/no policy of this proxy lists eve@example\.com/);
  });

  test("and whom two policies list is refused", async () => {
    world.policies.docs.set("more", { ...world.policies.docs.get("ops") });
    const answer = await clients.operator.get("/vault/keys");
    world.policies.docs.delete("more");
    expect([answer.status, answer.json.code]).toEqual([403, "policy_denied"]);
    expect((await clients.operator.get("/vault/keys")).status).toBe(200);
  });

  test("and who is listed with another number was made anew, and is refused", async () => {
    const before = world.policies.docs.get("ops")!;
    const principal = { email: OPERATOR, sub: "42", may: ["read"] };
    world.policies.docs.set("ops", { ...before, principal_ids: [OPERATOR, "42"], principals: [principal] });
    const answer = await clients.operator.get("/vault/keys");
    world.policies.docs.set("ops", before);
    expect(answer.status).toBe(403);
    expect(answer.json.message).toMatch(/with another `sub`/);
  });

  test("may at once what a changed policy says, and nothing when it is wrong", async () => {
    const before = world.policies.docs.get("ops")!;
    const principals = [{ email: OPERATOR, may: ["read"] }];
    world.policies.docs.set("ops", { ...before, principals });
    expect((await clients.operator.post("/reconcile")).status).toBe(403);
    world.policies.docs.set("ops", { ...before, principal_ids: [OPERATOR, "extra@example.com"] });
    expect((await clients.operator.get("/vault/keys")).status).toBe(403);
    world.policies.docs.set("ops", before);
    expect((await clients.operator.post("/reconcile")).status).toBe(200);
  });

  test("decides under its own name, and loses that at once when its policy does not say so any more", async () => {
    const { keyId } = await issueKey(world, "decided");
    const [one, other] = [await makeCall(world, keyId, "unknown"), await makeCall(world, keyId, "unknown")];
    const settled = await clients.chief.post(`/calls/${one.id}/settle`, { cost_usd: 2, reason: "on the statement" });
    expect([settled.status, settled.json.state, settled.json.cost_usd]).toEqual([200, "settled", "2.00"]);
    expect(settled.text).toContain(`${CHIEF} (policy chiefs)`);
    const before = world.policies.docs.get("chiefs")!;
    world.policies.docs.set("chiefs", policyDoc([{ email: CHIEF, may: ["read"] }], { sees: "all" }));
    const answers = [
      await clients.chief.post(`/calls/${other.id}/release`, { reason: "nothing happened" }),
      await clients.chief.post("/issuers", { policy: ISSUER_POLICY }),
    ];
    world.policies.docs.set("chiefs", before);
    expect(answers.map(({ status, json }) => [status, json.code])).toEqual(Array(2).fill([403, "policy_denied"]));
    expect((await clients.admin.get(`/calls/${other.id}`)).json.state).toBe("unknown");
  });

  test("may nothing when a policy that sees its own alone lists `decide` or `issuers`", async () => {
    const before = world.policies.docs.get("chiefs")!;
    const answers = [];
    for (const may of ["decide", "issuers"]) {
      world.policies.docs.set("chiefs", policyDoc([{ email: CHIEF, may: ["read", may] }]));
      answers.push(await clients.chief.get("/vault/keys"), await clients.chief.get("/issuers"));
    }
    world.policies.docs.set("chiefs", before);
    expect(answers.map(({ status }) => status)).toEqual([403, 403, 403, 403]);
    expect((await clients.chief.get("/issuers")).status).toBe(200);
  });

  test("as a job's own account gets no more by its number in the same policy", async () => {
    const before = world.policies.docs.get(JOB)!;
    const { sub } = world.google.claims(TASKS, "any");
    const principals = [...(before.principals as object[]), { sub, may: ["raise", "launch", "issue"] }];
    const ids = [...(before.principal_ids as string[]), sub];
    world.policies.docs.set(JOB, { ...before, principals, principal_ids: ids });
    const launched = await clients.tasks.post(`/jobs/${JOB}/executions`, { label: "by-number" });
    const issued = await clients.tasks.post("/vault/keys", keyBody("by-number"));
    world.policies.docs.set(JOB, before);
    expect([launched.status, issued.status]).toEqual([403, 403]);
  });
});

describe("every refusal without a credential", () => {
  test("has the same words, whatever was wrong", async () => {
    const { google } = world;
    const texts = [
      google.idToken(OPERATOR, "another-audience"),
      google.sign({ ...google.claims(OPERATOR, "keybrake"), exp: 1 }),
      "kbi_1_aaaaaaaaaaaaaaaaaaaaaaaaaa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
      "x",
    ];
    const answers = await Promise.all(texts.map((text) => world.bearer(text).get("/vault/keys")));
    const nothing = await world.anonymous.get("/vault/keys");
    for (const answer of answers) expect([answer.status, answer.text]).toEqual([401, nothing.text]);
  });
});

describe("a proxy without", () => {
  test("an audience refuses every ID token", async () => {
    const bare = await startIdentities({ audience: null });
    const answers = await Promise.all([bare.as(OPERATOR).get("/vault/keys"), bare.client.get("/vault/keys")]);
    await bare.close();
    expect(answers.map(({ status }) => status)).toEqual([401, 200]);
    expect(bare.google.requests).toBe(0);
  });

  test("an admin key, with its store in Firestore, makes none: only tokens and issuer keys count", async () => {
    const bare = await startIdentities({ adminKey: null, store: "firestore:my-project/keybrake" });
    const answers = await Promise.all([bare.client.get("/vault/keys"), bare.as(OPERATOR).get("/vault/keys")]);
    await bare.close();
    expect(answers.map(({ status }) => status)).toEqual([401, 200]);
    expect(bare.announced).toEqual([]);
  });
});
