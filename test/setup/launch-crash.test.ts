/**
 * Goal: a process that ends between any two steps of a launch, or whose question is lost on the way there or back, leaves nothing that the
 * next request does not complete; Cloud Run gets one execution for one run.
 * Method: every call to the store and to Cloud Run of a whole launch fails once, before and after it took effect; then another process
 * goes on. And random faults, from many seeds. Limit: a crash is an exception here; Cloud Run is scripted.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Refusal } from "../../service/errors.ts";
import type { CloudRun } from "../../service/setup/cloud-run.ts";
import type { Launched } from "../../service/setup/setup.ts";
import type { Store } from "../../service/stores/store.ts";
import { type Ending, openScene, type Process, policyOf, type Scene } from "./launch-fixture.ts";

class Crash extends Error {}

/** Counts the calls of the wrapped objects; the one of this number throws, before or after it takes effect, and so do all later ones. */
class Breaker {
  calls = 0;
  names: string[] = [];
  readonly #at: number;
  readonly #after: boolean;

  constructor(at: number, after: boolean) {
    this.#at = at;
    this.#after = after;
  }

  wrap<T extends object>(object: T, methods: readonly string[]): T {
    return new Proxy(object, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        if (!methods.includes(String(name))) return value.bind(target);
        return async (...args: unknown[]) => {
          this.calls += 1;
          this.names.push(String(name));
          const call = this.calls;
          if (call > this.#at || (call === this.#at && !this.#after)) throw new Crash();
          const result: unknown = await value.apply(target, args);
          if (call === this.#at) throw new Crash();
          return result;
        };
      },
    });
  }
}

function breaking(scene: Scene, breaker: Breaker): Process {
  return scene.process({
    store: (store) => breaker.wrap<Store>(store, ["read", "commit", "record", "putRecord"]),
    cloudRun: (cloudRun) => breaker.wrap<CloudRun>(cloudRun, ["run", "execution", "executionsSince"]),
  });
}

/** As Scheduler retries: again and again, each time somewhat later. */
async function untilDone(scene: Scene): Promise<Launched | "failed"> {
  for (let tries = 0; tries < 8; tries += 1) {
    try {
      return await scene.process().launch();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.code === "launch_refused") return "failed";
    }
    scene.clock.time += 20_000;
  }
  throw new Error("the run is not done after 8 tries");
}

async function expectWhole(scene: Scene, launched: Launched | "failed"): Promise<void> {
  const keys = await scene.keys();
  expect(keys).toHaveLength(1);
  if (launched === "failed") {
    expect(scene.cloudRun.executions).toEqual([]);
    expect(keys[0]!.status).toBe("revoked");
    return;
  }
  expect(scene.cloudRun.executions.map(({ name, runId }) => ({ name, runId }))).toEqual([
    { name: launched.execution, runId: launched.runId },
  ]);
  expect(keys[0]).toMatchObject({ execution: launched.execution, status: "active" });
  expect((await scene.store.record("execution", launched.execution!))?.doc).toEqual({ key_id: keys[0]!.keyId });
}

const policies = { "several at a time": policyOf(), "one at a time": policyOf({}, { one_at_a_time: true }) };

describe.each(Object.entries(policies))("a crash at every step, %s", (_name, policy) => {
  it("is completed by the next request", async () => {
    const whole = new Breaker(Number.POSITIVE_INFINITY, false);
    await breaking(openScene(policy), whole).launch();
    expect(whole.names).toContain("run");
    expect(whole.calls).toBeGreaterThan(8);
    for (let at = 1; at <= whole.calls; at += 1) {
      for (const after of [false, true]) {
        const scene = openScene(policy);
        const first = breaking(scene, new Breaker(at, after)).launch();
        await expect(first, `${whole.names[at - 1]} ${at} ${after}`).rejects.toThrow();
        await expectWhole(scene, await untilDone(scene));
      }
    }
  });

  it.each<Ending>(["busy", "refused", "unclear, started", "unclear, nothing started"])(
    "also when Cloud Run first answered: %s",
    async (ending) => {
      const count = new Breaker(Number.POSITIVE_INFINITY, false);
      const counting = openScene(policy);
      counting.cloudRun.endings = [ending];
      await expect(breaking(counting, count).launch()).rejects.toThrow(Refusal);
      for (let at = 1; at <= count.calls; at += 1) {
        for (const after of [false, true]) {
          const scene = openScene(policy);
          scene.cloudRun.endings = [ending];
          await expect(breaking(scene, new Breaker(at, after)).launch()).rejects.toThrow();
          await expectWhole(scene, await untilDone(scene));
        }
      }
    },
  );

  it("in the request that goes on after an unclear answer, too", async () => {
    const prepared = async () => {
      const scene = openScene(policy);
      scene.cloudRun.endings = ["unclear, nothing started"];
      await expect(scene.process().launch()).rejects.toThrow("launch_pending");
      scene.clock.time += 61_000;
      return scene;
    };
    const count = new Breaker(Number.POSITIVE_INFINITY, false);
    await breaking(await prepared(), count).launch();
    expect(count.names).toContain("executionsSince");
    for (let at = 1; at <= count.calls; at += 1) {
      for (const after of [false, true]) {
        const scene = await prepared();
        await expect(breaking(scene, new Breaker(at, after)).launch()).rejects.toThrow();
        await expectWhole(scene, await untilDone(scene));
      }
    }
  });
});

describe("random faults", () => {
  const endings = fc.oneof(
    { weight: 3, arbitrary: fc.constant<Ending>("started") },
    fc.constantFrom<Ending>("busy", "unclear, started", "unclear, nothing started"),
    fc.integer({ min: 0, max: 55_000 }).map((ms): Ending => ({ unclearStartsAfterMs: ms })),
  );
  const step = fc.record({
    requests: fc.integer({ min: 1, max: 4 }),
    laterMs: fc.constantFrom(0, 100, 5_000, 30_000, 61_000),
    crashAt: fc.option(fc.integer({ min: 1, max: 14 }), { nil: null }),
    after: fc.boolean(),
    listing: fc.boolean(),
  });

  it("never give a run two executions or two keys, and never keep it from starting", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(endings, { maxLength: 6 }),
        fc.array(step, { minLength: 1, maxLength: 6 }),
        fc.boolean(),
        async (seed, script, steps, oneAtATime) => {
          const scene = openScene(policyOf({}, { one_at_a_time: oneAtATime }));
          scene.cloudRun.endings = [...script];
          scene.store.plan({ seed, conflict: 0.1, doubt: 0.1, unavailable: 0.05, readUnavailable: 0.05, turns: 3 });
          for (const { requests, laterMs, crashAt, after, listing } of steps) {
            scene.cloudRun.unavailable = !listing;
            const process = crashAt === null ? scene.process() : breaking(scene, new Breaker(crashAt, after));
            await Promise.allSettled(Array.from({ length: requests }, () => process.launch()));
            scene.clock.time += laterMs;
          }
          scene.store.plan(null);
          scene.cloudRun.unavailable = false;
          scene.clock.time += 120_000;
          scene.cloudRun.endings = [];
          await expectWhole(scene, await untilDone(scene));
        },
      ),
      { numRuns: 150 },
    );
  }, 60_000);
});
