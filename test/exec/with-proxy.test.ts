/**
 * Goal: what `exec` asks for is what the control plane gives: tasks of an execution share a key, and a refusal reaches the task's log.
 * Method: each implementation in processes of its own against the real control plane on loopback, with a metadata server for the account.
 * Limit: as of the claim's tests: Cloud Run is a list, and tokens are unsigned.
 */
import { beforeEach, describe, expect, test } from "vitest";
import { AUDIENCE, type ClaimWorld, OTHER_TASKS, openClaimWorld, TASKS } from "../setup/claim-world.ts";
import { nameOf } from "../support/runtimes.ts";
import { type Ended, type Implementation, implementations, runExec } from "./implementations.ts";
import { type Loopback, serveMetadata } from "./loopback.ts";

const RUNNING = "billing-x7x2p";
const own = implementations.filter(({ variant }) => !variant);
const tell = [process.execPath, "-p", "JSON.stringify(process.env)"];

let world: ClaimWorld;
let metadata: Loopback;

async function account(email: string): Promise<void> {
  await metadata?.close();
  metadata = await serveMetadata(email);
}

beforeEach(async () => {
  world = await openClaimWorld();
  world.cloudRun.add(RUNNING);
  await account(TASKS);
  return async () => {
    await world.close();
    await metadata.close();
  };
});

const environment = (more: Record<string, string> = {}): Record<string, string> => ({
  PATH: process.env.PATH ?? "",
  KEYBRAKE_URL: world.url,
  KEYBRAKE_AUDIENCE: AUDIENCE,
  GCE_METADATA_HOST: metadata.host,
  CLOUD_RUN_JOB: "billing",
  CLOUD_RUN_EXECUTION: RUNNING,
  CLOUD_RUN_TASK_INDEX: "0",
  CLOUD_RUN_TASK_ATTEMPT: "0",
  ...more,
});
const run = (it: Implementation, more: Record<string, string> = {}, wait = "20") =>
  runExec(it, ["--wait", wait, "--", ...tell], environment(more));
const variables = ({ stdout, stderr }: Ended): Record<string, string> => {
  expect(stderr).toBe("");
  return JSON.parse(stdout) as Record<string, string>;
};

describe.each(own.map((each) => [nameOf(each.name, each.missing), each] as const))("%s", (_name, it) => {
  const cases = test.skipIf(it.missing !== null);

  cases("a task gets a key that the proxy verifies, with its own index and attempt", async () => {
    const seen = variables(await run(it, { CLOUD_RUN_TASK_INDEX: "41", CLOUD_RUN_TASK_ATTEMPT: "2" }));
    const [key] = await world.keys();
    expect(seen).toMatchObject({ KEYBRAKE_KEY_ID: key!.keyId, STRIPE_API_BASE: world.url });
    expect(world.vaultKeys.verify(seen.STRIPE_SECRET_KEY!)).toMatchObject({ keyId: key!.keyId, task: 41, attempt: 2 });
    expect(seen.KEYBRAKE_RUN_ID).toBeUndefined();
  });

  cases("ten tasks that start at once, one of them a second attempt, share one key", async () => {
    const tasks = Array.from({ length: 10 }, (_, index) => ({
      CLOUD_RUN_TASK_INDEX: String(index % 9),
      CLOUD_RUN_TASK_ATTEMPT: index === 9 ? "1" : "0",
    }));
    const seen = (await Promise.all(tasks.map((task) => run(it, task)))).map(variables);
    expect(new Set(seen.map((each) => each.KEYBRAKE_KEY_ID)).size).toBe(1);
    expect(new Set(seen.map((each) => each.KEYBRAKE_VAULT_KEY)).size).toBe(10);
    expect(await world.keys()).toHaveLength(1);
  });

  cases("a task of a launched execution gets its run's id and key", async () => {
    const launched = await world.admin.post("/jobs/billing/executions", { label: "by-hand" });
    expect(launched.status).toBe(201);
    const { execution, run_id, key_id } = launched.json as Record<string, string>;
    expect(variables(await run(it, { CLOUD_RUN_EXECUTION: execution! }))).toMatchObject({
      KEYBRAKE_RUN_ID: run_id,
      KEYBRAKE_KEY_ID: key_id,
    });
  });

  cases("while Cloud Run cannot be asked it waits", async () => {
    world.cloudRun.unavailable = true;
    const started = run(it);
    while (world.cloudRun.asked.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    world.cloudRun.unavailable = false;
    expect(variables(await started).KEYBRAKE_KEY_ID).toBe((await world.keys())[0]!.keyId);
  });

  const refused: [string, () => Promise<Ended>, RegExp][] = [
    [
      "another job's account",
      async () => {
        await account(OTHER_TASKS);
        return run(it);
      },
      /^keybrake exec: the proxy refused the claim: policy_denied: .*own service account\.\n$/,
    ],
    [
      "an account that no policy lists",
      async () => {
        await account("stranger@my-project.iam.gserviceaccount.com");
        return run(it);
      },
      /unauthenticated: /,
    ],
    [
      "another audience than the proxy's",
      () => run(it, { KEYBRAKE_AUDIENCE: "https://elsewhere.example" }),
      /unauthenticated: /,
    ],
    [
      "an execution that Cloud Run does not know",
      () => run(it, { CLOUD_RUN_EXECUTION: "billing-zzzzz" }),
      /not_found: /,
    ],
  ];
  for (const [what, ask, sentence] of refused) {
    cases(`${what}: one sentence, exit code 1, no key`, async () => {
      expect(await ask()).toMatchObject({ code: 1, stdout: "", stderr: expect.stringMatching(sentence) });
      expect(await world.keys()).toEqual([]);
    });
  }

  cases("a run that was stopped: one sentence, exit code 1", async () => {
    const { KEYBRAKE_KEY_ID: keyId } = variables(await run(it));
    await world.admin.delete(`/vault/keys/${keyId}`);
    expect(await run(it, { CLOUD_RUN_TASK_ATTEMPT: "1" })).toMatchObject({
      code: 1,
      stdout: "",
      stderr: expect.stringMatching(/label_retired: .*was revoked or has expired; start a new execution\.\n$/),
    });
  });
});
