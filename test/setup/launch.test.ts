/**
 * Goal: one run is one execution with one key, whatever Cloud Run answers and however often the run is asked for.
 * Method: the real ledger and the store in memory, a Cloud Run that is scripted, a clock that the tests move.
 * Limit: Cloud Run's side is our reading of its documentation; the real client library is exercised in `test/google`.
 */
import { describe, expect, it } from "vitest";
import { Refusal } from "../../service/errors.ts";
import type { Launched } from "../../service/setup/setup.ts";
import type { RecordWrite, Store } from "../../service/stores/store.ts";
import { admin, JOB, MINUTE, openScene, policyOf, SCHEDULED, type Scene, START, scheduler } from "./launch-fixture.ts";

async function code(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => "no refusal",
    (thrown: unknown) => thrown,
  );
  if (error instanceof Refusal) return error.code;
  throw error instanceof Error ? error : new Error(String(error));
}

/** The run has one execution and one key, tied to each other. */
async function expectOneRun(scene: Scene, launched: Launched): Promise<void> {
  const [execution, ...others] = scene.cloudRun.executions;
  expect(others).toEqual([]);
  expect(launched).toMatchObject({ state: "started", execution: execution!.name });
  const keys = await scene.keys();
  expect(keys).toHaveLength(1);
  expect(keys[0]).toMatchObject({ keyId: launched.key?.keyId, execution: execution!.name, status: "active" });
  expect(keys[0]!.label).toBe(`${JOB}/${launched.runId}`);
  expect((await scene.store.record("execution", execution!.name))?.doc).toEqual({ key_id: keys[0]!.keyId });
}

describe("a scheduled run", () => {
  it("starts one execution with its key in the environment", async () => {
    const scene = openScene();
    const launched = await scene.process().launch();
    expect(launched.repeated).toBe(false);
    await expectOneRun(scene, launched);
    const [overrides] = scene.cloudRun.requests;
    expect(overrides).toHaveLength(1);
    expect(overrides![0]!.container).toBe(null);
    const { env } = overrides![0]!;
    expect(env.KEYBRAKE_VAULT_KEY).toMatch(/^vk_1_/);
    expect(env).toMatchObject({
      KEYBRAKE_KEY_ID: launched.key!.keyId,
      KEYBRAKE_RUN_ID: launched.runId,
      STRIPE_SECRET_KEY: env.KEYBRAKE_VAULT_KEY,
    });
    expect(Object.keys(env)).not.toContain("STRIPE_API_BASE");
    expect(launched.key).toMatchObject({ capMicros: 500_000_000, owner: `policy:${JOB}` });
  });

  it("gives every named container the variables", async () => {
    const scene = openScene(policyOf({}, { containers: ["agent", "helper"] }));
    await scene.process().launch();
    const [overrides] = scene.cloudRun.requests;
    expect(overrides!.map(({ container }) => container)).toEqual(["agent", "helper"]);
    expect(overrides![1]!.env).toEqual(overrides![0]!.env);
  });

  it("is the same run when the request is repeated, in any way to write its time", async () => {
    const scene = openScene();
    const first = await scene.process().launch();
    for (const time of [SCHEDULED, "2026-11-21T18:00:00-08:00", "2026-11-22T02:00:00.000Z"]) {
      const again = await scene.process().launch({ scheduled: { by: "nightly", time } });
      expect(again).toMatchObject({ runId: first.runId, repeated: true });
      await expectOneRun(scene, again);
    }
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("is started once by 20 requests at once in 4 processes", async () => {
    const scene = openScene();
    scene.store.plan({ seed: 7, turns: 6 });
    const processes = Array.from({ length: 4 }, () => scene.process());
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => processes[index % 4]!.launch()));
    expect(scene.cloudRun.requests).toHaveLength(1);
    expect(all.filter(({ repeated }) => !repeated)).toHaveLength(1);
    for (const launched of all) await expectOneRun(scene, launched);
  });

  it("is another run at another time, though the one before still runs", async () => {
    const scene = openScene();
    const process = scene.process();
    const first = await process.launch();
    scene.clock.time += 60 * MINUTE;
    const second = await process.launch({ scheduled: { by: "nightly", time: "2026-11-22T03:00:00Z" } });
    expect(second.runId).not.toBe(first.runId);
    expect(scene.cloudRun.executions).toHaveLength(2);
    expect(await scene.keys()).toHaveLength(2);
  });

  it("breaks no retry when the policy is changed in mid-run, and the key keeps its cap", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["busy"];
    expect(await code(scene.process().launch())).toBe("launch_pending");
    scene.policy = policyOf({ usd_cap: 900, allowed_endpoints: ["*"] });
    const launched = await scene.process().launch();
    await expectOneRun(scene, launched);
    expect(launched.key).toMatchObject({ capMicros: 500_000_000 });
  });
});

describe("an answer of Cloud Run that starts nothing", () => {
  it.each(["busy", "unclear, nothing started"] as const)("costs no night: %s", async (ending) => {
    const scene = openScene();
    scene.cloudRun.endings = [ending, ending];
    for (let tries = 0; tries < 2; tries += 1) {
      expect(await code(scene.process().launch())).toBe("launch_pending");
      scene.clock.time += 61_000;
    }
    await expectOneRun(scene, await scene.process().launch());
    expect(scene.cloudRun.requests).toHaveLength(3);
  });

  it("busy: the next request need not wait", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["busy"];
    expect(await code(scene.process().launch())).toBe("launch_pending");
    await expectOneRun(scene, await scene.process().launch());
  });
});

describe("an unclear answer", () => {
  it("of a request that started an execution: the next one finds it and starts nothing", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["unclear, started"];
    expect(await code(scene.process().launch())).toBe("launch_pending");
    const launched = await scene.process().launch();
    expect(launched.repeated).toBe(true);
    await expectOneRun(scene, launched);
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("of a request that Cloud Run still works on: nothing is started for a minute, then it is found", async () => {
    const scene = openScene();
    scene.cloudRun.endings = [{ unclearStartsAfterMs: 50_000 }];
    for (let second = 0; second < 50; second += 10) {
      expect(await code(scene.process().launch())).toBe("launch_pending");
      scene.clock.time += 10_000;
    }
    await expectOneRun(scene, await scene.process().launch());
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("while executions cannot be listed: nothing is started", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["unclear, started"];
    expect(await code(scene.process().launch())).toBe("launch_pending");
    scene.cloudRun.unavailable = true;
    for (let tries = 0; tries < 3; tries += 1) {
      scene.clock.time += 61_000;
      expect(await code(scene.process().launch())).toBe("launch_pending");
    }
    scene.cloudRun.unavailable = false;
    await expectOneRun(scene, await scene.process().launch());
    expect(scene.cloudRun.requests).toHaveLength(1);
  });
});

describe("a process that stood still", () => {
  it("between its lease and jobs.run sends nothing: another may have started the run", async () => {
    const scene = openScene();
    const stands = scene.process({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            const value: unknown = Reflect.get(target, name, target);
            if (name !== "putRecord") return typeof value === "function" ? value.bind(target) : value;
            return async (write: RecordWrite) => {
              const version = await target.putRecord(write);
              if (write.doc.state === "starting") scene.clock.time += 61_000;
              return version;
            };
          },
        }),
    });
    expect(await code(stands.launch())).toBe("launch_pending");
    expect(scene.cloudRun.requests).toEqual([]);
    await expectOneRun(scene, await scene.process().launch());
  });
});

describe("the record of a run", () => {
  it("is kept longer than its key can live", async () => {
    const scene = openScene();
    const kept: (number | null)[] = [];
    const process = scene.process({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            const value: unknown = Reflect.get(target, name, target);
            if (name !== "putRecord") return typeof value === "function" ? value.bind(target) : value;
            return (write: RecordWrite) => {
              kept.push(write.expiresAt);
              return target.putRecord(write);
            };
          },
        }),
    });
    await process.launch();
    expect(new Set(kept)).toEqual(new Set([START + (30 + 400) * 24 * 60 * MINUTE]));
  });
});

describe("an execution of another run", () => {
  it("is not taken for this run's, whose answer was lost", async () => {
    const scene = openScene();
    const process = scene.process();
    const other = await process.launch({ scheduled: { by: "nightly", time: "2026-11-22T01:30:00Z" } });
    scene.cloudRun.endings = ["unclear, nothing started"];
    expect(await code(process.launch())).toBe("launch_pending");
    expect(await code(process.launch())).toBe("launch_pending");
    scene.clock.time += 61_000;
    const launched = await process.launch();
    expect(launched.execution).not.toBe(other.execution);
    expect(scene.cloudRun.executions).toHaveLength(2);
  });
});

describe("a definite refusal of Cloud Run", () => {
  it("fails the run and revokes its key, now and for every later request", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["refused"];
    for (let tries = 0; tries < 3; tries += 1) {
      await expect(scene.process().launch()).rejects.toThrow("launch_refused: Cloud Run refused to start run");
      scene.clock.time += 61_000;
    }
    expect(scene.cloudRun.requests).toHaveLength(1);
    expect(await scene.keys()).toMatchObject([{ status: "revoked", execution: null }]);
  });

  it("revokes the key though the process ended before it could", async () => {
    const scene = openScene();
    scene.cloudRun.endings = ["refused"];
    const process = scene.process({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) =>
            name === "commit" && scene.cloudRun.requests.length > 0
              ? () => Promise.reject(new Error("the process ended"))
              : Reflect.get(target, name, target).bind?.(target),
        }),
    });
    expect(await code(process.launch())).toBe("ledger_unavailable");
    expect(await scene.keys()).toMatchObject([{ status: "active" }]);
    expect(await code(scene.process().launch())).toBe("launch_refused");
    expect(await scene.keys()).toMatchObject([{ status: "revoked" }]);
  });
});

describe("a key that is over", () => {
  it("of a started run: the run is answered as it is", async () => {
    const scene = openScene();
    const process = scene.process();
    const first = await process.launch();
    await process.ledger.act(first.key!.keyId, { act: "revoke", by: "admin", reason: "stop" });
    const again = await process.launch();
    expect(again).toMatchObject({ state: "started", execution: first.execution, key: { status: "revoked" } });
    scene.clock.time += 3 * 60 * MINUTE;
    expect(await process.launch()).toMatchObject({ state: "started", execution: first.execution });
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("of a run that was started and not recorded: it is found, not started again", async () => {
    const scene = openScene();
    const process = scene.process();
    scene.cloudRun.endings = ["unclear, started"];
    expect(await code(process.launch())).toBe("launch_pending");
    const [key] = await scene.keys();
    await process.ledger.act(key!.keyId, { act: "revoke", by: "admin", reason: "stop" });
    scene.clock.time += 61_000;
    expect(await process.launch()).toMatchObject({ state: "started", key: { status: "revoked" } });
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("of a run that never started: it is not started, and says so", async () => {
    const scene = openScene();
    const process = scene.process();
    scene.cloudRun.endings = ["busy"];
    expect(await code(process.launch())).toBe("launch_pending");
    const [key] = await scene.keys();
    await process.ledger.act(key!.keyId, { act: "revoke", by: "admin", reason: "stop" });
    expect(await code(process.launch())).toBe("label_retired");
    expect(scene.cloudRun.requests).toHaveLength(1);
  });
});

describe("a forced run", () => {
  it("is not the scheduled run whose time it carries", async () => {
    const scene = openScene();
    const process = scene.process();
    scene.clock.time = Date.parse(SCHEDULED) - 5 * MINUTE;
    const forced = await process.launch();
    expect(await process.launch()).toMatchObject({ runId: forced.runId, repeated: true });
    scene.clock.time = Date.parse(SCHEDULED) + 1000;
    const scheduled = await process.launch();
    expect(scheduled.runId).not.toBe(forced.runId);
    expect(scene.cloudRun.executions).toHaveLength(2);
  });

  it.each([0, 9 * MINUTE + 59_000])(
    "without a time is one run for ten minutes, begun %i ms into a bucket",
    async (offset) => {
      const scene = openScene();
      const process = scene.process();
      scene.clock.time = Date.parse("2026-11-22T05:10:00Z") + offset;
      const launch = () => process.launch({ scheduled: { by: "nightly", time: null } });
      const first = await launch();
      scene.clock.time += 9 * MINUTE;
      expect(await launch()).toMatchObject({ runId: first.runId, repeated: true });
      scene.clock.time += 20 * MINUTE;
      expect((await launch()).runId).not.toBe(first.runId);
    },
  );
});

describe("a forced run that comes twice", () => {
  const force = { scheduled: { by: "nightly", time: null } };
  const boundary = Date.parse("2026-11-22T05:10:00Z");

  it("on two instances, the clock of the second one behind and before a bucket's end, is one run", async () => {
    const scene = openScene();
    scene.clock.time = boundary + 5;
    const first = await scene.process().launch(force);
    scene.clock.time = boundary - 20;
    expect(await scene.process().launch(force)).toMatchObject({ runId: first.runId, repeated: true });
    scene.clock.time = boundary + MINUTE;
    await expectOneRun(scene, first);
  });

  it("at once, on both sides of a bucket's end, is one run", async () => {
    const scene = openScene();
    scene.clock.time = boundary - 1;
    let other: Promise<Launched> | null = null;
    const slow = (store: Store): Store =>
      new Proxy(store, {
        get(target, name) {
          const value: unknown = Reflect.get(target, name, target);
          if (typeof value !== "function") return value;
          if (name !== "putRecord") return value.bind(target);
          return async (write: RecordWrite) => {
            if (other === null) {
              scene.clock.time = boundary + 1;
              other = scene.process().launch(force);
              await other;
            }
            return target.putRecord(write);
          };
        },
      });
    const launched = await scene.process({ store: slow }).launch(force);
    expect((await other!).runId).toBe(launched.runId);
    await expectOneRun(scene, launched);
  });
});

describe("a manual run", () => {
  const manual = { principal: admin, scheduled: null };

  it("is named by its label", async () => {
    const scene = openScene();
    const process = scene.process();
    const first = await process.launch({ ...manual, label: "resend-1" });
    expect(first.key).toMatchObject({ label: `${JOB}/resend-1`, owner: `policy:${JOB}` });
    expect(await process.launch({ ...manual, label: "resend-1" })).toMatchObject({
      runId: first.runId,
      repeated: true,
    });
    expect((await process.launch({ ...manual, label: "resend-2" })).runId).not.toBe(first.runId);
  });

  it("without a label is a new one each time", async () => {
    const scene = openScene();
    const process = scene.process();
    await process.launch(manual);
    await process.launch(manual);
    expect(scene.cloudRun.executions).toHaveLength(2);
  });

  it("may have a smaller cap, not a larger one, and the same label not another", async () => {
    const scene = openScene();
    const process = scene.process();
    const launch = (capMicros: number, label: string) => process.launch({ ...manual, capMicros, label });
    expect((await launch(50_000_000, "small")).key).toMatchObject({ capMicros: 50_000_000 });
    expect(await code(launch(60_000_000, "small"))).toBe("label_conflict");
    expect(await code(launch(500_010_000, "large"))).toBe("policy_denied");
    expect(await scene.keys()).toHaveLength(1);
  });

  it("with a label that is too long beside the job's name is refused", async () => {
    const scene = openScene();
    expect(await code(scene.process().launch({ ...manual, label: "x".repeat(190) }))).toBe("request_invalid");
  });
});

describe("who may launch", () => {
  it("is the job's policy, a policy that sees all, and the admin key", async () => {
    const scene = openScene();
    const process = scene.process();
    const operator = { ...scene.policy, id: "operators", sees: "all" as const, job: undefined };
    const other = { ...scene.policy, id: "other-job" };
    await process.launch({ principal: scheduler(scene.policy) });
    await process.launch({ principal: admin });
    await process.launch({ principal: scheduler(operator as typeof scene.policy) });
    expect(await code(process.launch({ principal: scheduler(other) }))).toBe("policy_denied");
    expect(scene.cloudRun.requests).toHaveLength(1);
  });

  it("cannot launch a job without a policy, or one whose policy has no budget", async () => {
    const scene = openScene();
    expect(await code(scene.process().launch({ principal: admin, job: "unknown-job" }))).toBe("not_found");
    const { budget: _budget, ...bare } = scene.policy;
    scene.policy = bare;
    expect(await code(scene.process().launch({ principal: admin }))).toBe("policy_denied");
    expect(await scene.keys()).toEqual([]);
  });
});

describe("the sum of a policy's day", () => {
  it("stops the run that would go over it, and no key is made", async () => {
    const scene = openScene(policyOf({ issued_usd_per_day: 500 }));
    const process = scene.process();
    await process.launch();
    await process.launch();
    const later = process.launch({ scheduled: { by: "nightly", time: "2026-11-22T01:00:00Z" } });
    expect(await code(later)).toBe("policy_denied");
    expect(scene.cloudRun.requests).toHaveLength(1);
  });
});
