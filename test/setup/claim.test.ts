/**
 * Goal: an execution that runs gets its one key, the same for all its tasks and attempts, and nobody else gets it.
 * Method: the control plane on a socket, with real policies, ledger, launch and claim; every refusal is one thing changed in a scene that
 * succeeds, and no key may exist after it.
 * Limit: Cloud Run is a list that the test fills (the client of its API has tests of its own), and tokens are unsigned.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { StoreUnavailable } from "../../service/stores/store.ts";
import { jobDoc, policyDoc } from "../policies/fixture.ts";
import type { ControlAnswer } from "../support/control-client.ts";
import {
  type ClaimWorld,
  OTHER_TASKS,
  openClaimWorld,
  SCHEDULER,
  TASKS,
  TWILIO_ACCOUNT,
  tokenOf,
} from "./claim-world.ts";

let world: ClaimWorld;
beforeEach(async () => {
  world = await openClaimWorld();
  return () => world.close();
});

const RUNNING = "billing-x7x2p";
const claim = () => world.claim(TASKS, "billing", RUNNING);

describe("an execution that was started without us", () => {
  beforeEach(() => void world.cloudRun.add(RUNNING));

  test("gets a key of its job's policy, labelled and bound with its name, by what Cloud Run says in the policy's region", async () => {
    const answer = await claim();
    expect(answer.status).toBe(201);
    const [key, ...others] = await world.keys();
    expect(others).toEqual([]);
    expect(key).toMatchObject({
      owner: "policy:billing",
      label: RUNNING,
      execution: RUNNING,
      asked: JSON.stringify({ claim: RUNNING }),
      capMicros: 500_000_000,
      expiresAt: world.clock.now() + 7_200_000,
      scope: { vendors: ["stripe"], allowedEndpoints: ["*"] },
    });
    const text = world.vaultKeys.text(key!.keyId, 1);
    expect(answer.json).toEqual({
      key_id: key!.keyId,
      vault_key: text,
      run_id: null,
      variables: [
        { name: "KEYBRAKE_VAULT_KEY", kind: "credential", value: text },
        { name: "KEYBRAKE_KEY_ID", kind: "text", value: key!.keyId },
        { name: "STRIPE_SECRET_KEY", kind: "credential", value: text },
        { name: "STRIPE_API_KEY", kind: "credential", value: text },
        { name: "STRIPE_API_BASE", kind: "path", value: "" },
      ],
    });
    expect(world.cloudRun.asked).toEqual([
      { project: "my-project", location: "us-central1", job: "billing", execution: RUNNING },
    ]);
  });

  test("gets one key for 50 claims at once, and one of them is told that it was made", async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, claim));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(49);
    expect(new Set(answers.map(({ json }) => json.vault_key)).size).toBe(1);
    expect(await world.keys()).toHaveLength(1);
  });

  test("keeps its key when the policy is changed in the middle", async () => {
    const first = await claim();
    world.policies.docs.set(
      "billing",
      jobDoc({ budget: { vendors: ["stripe"], allowed_endpoints: ["*"], usd_cap: 9, expires_in: "1h" } }),
    );
    const second = await claim();
    expect([second.status, second.json]).toEqual([200, first.json]);
    expect(await world.keys()).toMatchObject([{ capMicros: 500_000_000 }]);
  });

  test("is found by its name in every question about keys", async () => {
    const { json } = await claim();
    const found = await world.as(TASKS).get(`/vault/keys?label=${RUNNING}`);
    expect(found.json).toMatchObject({ keys: [{ key_id: json.key_id, execution: RUNNING }] });
  });

  test("gets no other key after its own was revoked, nor after it has expired", async () => {
    const { json } = await claim();
    await world.as(TASKS).delete(`/vault/keys/${json.key_id}`);
    const refused = await claim();
    expect([refused.status, refused.json.code]).toEqual([409, "label_retired"]);
    world.cloudRun.add("billing-second");
    await world.claim(TASKS, "billing", "billing-second");
    world.clock.time += 7_200_000;
    expect((await world.claim(TASKS, "billing", "billing-second")).json.code).toBe("label_retired");
    expect(await world.keys()).toHaveLength(2);
  });

  test("gets no key beyond the sum that its policy may issue in a day", async () => {
    const budget = {
      vendors: ["stripe"],
      allowed_endpoints: ["*"],
      usd_cap: 500,
      expires_in: "2h",
      issued_usd_per_day: 700,
    };
    world.policies.docs.set("billing", jobDoc({ budget }));
    expect((await claim()).status).toBe(201);
    world.cloudRun.add("billing-second");
    const refused = await world.claim(TASKS, "billing", "billing-second");
    expect([refused.status, refused.json.code]).toEqual([403, "policy_denied"]);
    expect((await claim()).status).toBe(200);
    expect(await world.keys()).toHaveLength(1);
  });

  test("whose name somebody gave to another key gets neither that key nor a second one", async () => {
    const body = {
      vendor: "stripe",
      usd_cap: 5,
      allowed_endpoints: ["*"],
      expires_in: "2h",
      label: "by-hand",
      execution: RUNNING,
    };
    expect((await world.admin.post("/vault/keys", body)).status).toBe(201);
    const refused = await claim();
    expect([refused.status, refused.json.code]).toEqual([403, "policy_denied"]);
    expect(await world.keys()).toMatchObject([{ label: "by-hand" }]);
  });

  test("no text of a vault key is written to the log", async () => {
    const { json } = await claim();
    expect(world.logged.join("\n")).toContain(json.key_id);
    expect(world.logged.join("\n")).not.toContain("vk_");
  });
});

describe("an execution that was launched", () => {
  const launchIt = async () => {
    const answer = await world.as(SCHEDULER).post("/jobs/billing/executions", {});
    expect(answer.status).toBe(201);
    return answer.json as { run_id: string; execution: string; key_id: string; label: string };
  };

  test("gets its run's key, and the run's id", async () => {
    const launched = await launchIt();
    const answer = await world.claim(TASKS, "billing", launched.execution);
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ key_id: launched.key_id, run_id: launched.run_id });
    expect(answer.json.variables).toContainEqual({ name: "KEYBRAKE_RUN_ID", kind: "text", value: launched.run_id });
    expect(await world.keys()).toHaveLength(1);
  });

  test("gets and binds its run's key when the launch ended before it could", async () => {
    const { act } = world.ledger;
    world.ledger.act = async () => Promise.reject(new StoreUnavailable("the process ends here"));
    expect((await world.as(SCHEDULER).post("/jobs/billing/executions", {})).status).toBe(503);
    world.ledger.act = act;
    expect(await world.keys()).toMatchObject([{ execution: null }]);
    const { name } = world.cloudRun.executions[0]!;
    const answer = await world.claim(TASKS, "billing", name);
    expect(answer.status).toBe(200);
    expect(await world.keys()).toMatchObject([{ keyId: answer.json.key_id, execution: name }]);
    expect((await world.store.record("execution", name))?.doc).toEqual({ key_id: answer.json.key_id });
  });

  test("gets nothing when its run was revoked", async () => {
    const launched = await launchIt();
    await world.admin.delete(`/vault/keys/${launched.key_id}`);
    const refused = await world.claim(TASKS, "billing", launched.execution);
    expect([refused.status, refused.json.code]).toEqual([409, "label_retired"]);
    expect(await world.keys()).toHaveLength(1);
  });

  test("a second execution that carries the same run's id gets neither its key nor another", async () => {
    const launched = await launchIt();
    world.cloudRun.add("billing-copy", { runId: launched.run_id });
    const refused = await world.claim(TASKS, "billing", "billing-copy");
    expect([refused.status, refused.json.code]).toEqual([403, "policy_denied"]);
    expect(await world.keys()).toMatchObject([{ execution: launched.execution }]);
    expect(await world.store.record("execution", "billing-copy")).toBeNull();
  });

  test("an id that names another job's run, or none, gets no key", async () => {
    const launched = await launchIt();
    world.cloudRun.add("reports-copy", { serviceAccount: OTHER_TASKS, runId: launched.run_id });
    world.cloudRun.add("billing-made-up", { job: "billing", runId: "made-up" });
    expect((await world.claim(OTHER_TASKS, "reports", "reports-copy")).json.code).toBe("policy_denied");
    expect((await world.claim(TASKS, "billing", "billing-made-up")).json.code).toBe("policy_denied");
    expect(await world.keys()).toHaveLength(1);
  });

  test("an id that no run can have gets no key, and the answer says why", async () => {
    for (const [index, runId] of ["$(RUN)", "a b", "é", "../x", "x".repeat(5_000)].entries()) {
      world.cloudRun.add(`billing-0000${index}`, { runId });
      const refused = await world.claim(TASKS, "billing", `billing-0000${index}`);
      expect([refused.status, refused.json.code]).toEqual([403, "policy_denied"]);
    }
    expect(await world.keys()).toEqual([]);
  });

  test("gets its key under a name that is longer than a job's", async () => {
    const name = `billing-${"x".repeat(70)}`;
    world.cloudRun.add(name, { job: "billing" });
    expect((await world.claim(TASKS, "billing", name)).status).toBe(201);
    expect(await world.keys()).toMatchObject([{ label: name, execution: name }]);
  });
});

describe("nobody else gets a key", () => {
  beforeEach(() => void world.cloudRun.add(RUNNING));

  const refusals: [string, () => Promise<ControlAnswer>, number, string][] = [
    [
      "another job's account for this execution",
      () => world.claim(OTHER_TASKS, "billing", RUNNING),
      403,
      "policy_denied",
    ],
    [
      "another job's account under its own job's name",
      () => world.claim(OTHER_TASKS, "reports", RUNNING),
      403,
      "policy_denied",
    ],
    ["Scheduler's account", () => world.claim(SCHEDULER, "billing", RUNNING), 403, "policy_denied"],
    ["the admin key", () => world.admin.post(`/jobs/billing/executions/${RUNNING}/claim`), 403, "policy_denied"],
    [
      "an account without a policy",
      () => world.claim("stranger@example.com", "billing", RUNNING),
      401,
      "unauthenticated",
    ],
    ["a job that has no policy", () => world.claim(TASKS, "nightly", RUNNING), 403, "policy_denied"],
    ["an execution that does not exist", () => world.claim(TASKS, "billing", "billing-zzzzz"), 404, "not_found"],
    ["a name that is none", () => world.claim(TASKS, "billing", "Billing_X"), 404, "not_found"],
  ];
  for (const [who, ask, status, code] of refusals) {
    test(`${who} is refused with ${status} ${code}`, async () => {
      const answer = await ask();
      expect([answer.status, answer.json.code]).toEqual([status, code]);
      expect(await world.keys()).toEqual([]);
      expect(answer.text).not.toContain("vk_");
    });
  }

  const wrong: [string, Parameters<ClaimWorld["cloudRun"]["add"]>[1]][] = [
    ["is over", { completed: true }],
    ["runs as another account", { serviceAccount: OTHER_TASKS }],
    ["is of another job", { job: "reports" }],
  ];
  for (const [what, more] of wrong) {
    test(`an execution that ${what} gets no key`, async () => {
      world.cloudRun.add("billing-other", more);
      const answer = await world.claim(TASKS, "billing", "billing-other");
      expect([answer.status, answer.json.code]).toEqual([403, "policy_denied"]);
      expect(await world.keys()).toEqual([]);
    });
  }

  test("a job's account claims under its own job's name only, also for what runs as that account", async () => {
    world.cloudRun.add("billing-as-other", { job: "billing", serviceAccount: OTHER_TASKS });
    for (const job of ["billing", "reports"]) {
      const answer = await world.claim(OTHER_TASKS, job, "billing-as-other");
      expect([answer.status, answer.json.code]).toEqual([403, "policy_denied"]);
    }
    expect(await world.keys()).toEqual([]);
  });

  test("a token for another audience is refused with 401", async () => {
    const response = await fetch(`${world.url}/jobs/billing/executions/${RUNNING}/claim`, {
      method: "POST",
      headers: { authorization: `Bearer ${tokenOf(TASKS, "https://elsewhere.example")}` },
    });
    expect(response.status).toBe(401);
  });

  test("a person whom the policy lets claim is not the tasks' account", async () => {
    const person = "dev@example.com";
    world.policies.docs.set("billing", {
      ...jobDoc(),
      ...policyDoc([
        { email: TASKS, may: ["claim"] },
        { email: person, may: ["claim", "launch"] },
      ]),
    });
    const answer = await world.claim(person, "billing", RUNNING);
    expect([answer.status, answer.json.code]).toEqual([403, "policy_denied"]);
    expect(await world.keys()).toEqual([]);
  });

  test("while Cloud Run cannot be asked the answer is 503 launch_pending, and a key comes later", async () => {
    world.cloudRun.unavailable = true;
    const answer = await claim();
    expect([answer.status, answer.json.code]).toEqual([503, "launch_pending"]);
    expect(await world.keys()).toEqual([]);
    world.cloudRun.unavailable = false;
    expect((await claim()).status).toBe(201);
  });

  test("a job's account gets a key by no other way", async () => {
    const job = world.as(TASKS);
    const body = { vendor: "stripe", usd_cap: 500, allowed_endpoints: ["*"], expires_in: "2h", label: "mine" };
    expect((await job.post("/vault/keys", body)).status).toBe(403);
    expect((await job.post("/jobs/billing/executions", {})).status).toBe(403);
    const { key_id } = (await claim()).json;
    for (const act of ["raise", "resume", "pause"]) {
      expect((await job.post(`/vault/keys/${key_id}/${act}`, act === "raise" ? { usd_cap: 900 } : {})).status).toBe(
        403,
      );
    }
    expect(await world.keys()).toMatchObject([{ label: RUNNING, capMicros: 500_000_000 }]);
  });
});

describe("the variables", () => {
  const budget = (vendors: string[], more: object = {}) => ({
    vendors,
    allowed_endpoints: ["*"],
    usd_cap: 500,
    expires_in: "2h",
    ...more,
  });
  const variables = async () => (await claim()).json.variables as { name: string; kind: string; value: string }[];
  beforeEach(() => void world.cloudRun.add(RUNNING));

  test("are those of all vendors of the budget", async () => {
    world.policies.docs.set("billing", jobDoc({ budget: budget(["stripe", "twilio", "resend"]) }));
    const found = await variables();
    expect(
      found.filter(({ name }) => !name.startsWith("KEYBRAKE_")).map(({ name, kind }) => `${name} ${kind}`),
    ).toEqual([
      "STRIPE_SECRET_KEY credential",
      "STRIPE_API_KEY credential",
      "STRIPE_API_BASE path",
      "TWILIO_ACCOUNT_SID text",
      "TWILIO_AUTH_TOKEN credential",
      "RESEND_API_KEY credential",
      "RESEND_BASE_URL path",
      "RESEND_API_URL path",
    ]);
  });

  test("name the account that Twilio's secret belongs to, and nothing else of the secret", async () => {
    world.policies.docs.set("billing", jobDoc({ budget: budget(["twilio"]) }));
    expect(await variables()).toContainEqual({ name: "TWILIO_ACCOUNT_SID", kind: "text", value: TWILIO_ACCOUNT });
    expect((await claim()).text).not.toContain("canary");
  });

  test("name the account that the budget lists, when it lists one", async () => {
    const listed = `AC${"9".repeat(32)}`;
    world.policies.docs.set("billing", jobDoc({ budget: budget(["twilio"], { accounts: ["acct_1", listed] }) }));
    expect(await variables()).toContainEqual({ name: "TWILIO_ACCOUNT_SID", kind: "text", value: listed });
  });
});
