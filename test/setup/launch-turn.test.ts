/**
 * Goal: of a job that runs one at a time no two executions overlap, and no run that was left behind blocks the job.
 * Method and limit: as `launch.test.ts`.
 */
import { describe, expect, it } from "vitest";
import { Refusal } from "../../service/errors.ts";
import { MINUTE, openScene, type Process, policyOf, type Scene } from "./launch-fixture.ts";

const oneAtATime = (): Scene => openScene(policyOf({}, { one_at_a_time: true }));
const at = (time: string) => ({ scheduled: { by: "nightly", time } });
const NEXT = at("2026-11-22T03:00:00Z");
const THIRD = at("2026-11-22T04:00:00Z");

async function pendingOf(work: Promise<unknown>): Promise<void> {
  await expect(work).rejects.toSatisfy((error) => error instanceof Refusal && error.code === "launch_pending");
}

/** A process whose first run got `busy` from Cloud Run. */
async function busyFirst(scene: Scene): Promise<Process> {
  const process = scene.process();
  scene.cloudRun.endings = ["busy"];
  await pendingOf(process.launch());
  return process;
}

describe("a run while another goes on", () => {
  it("is skipped without a key, and stays so when it is asked for again", async () => {
    const scene = oneAtATime();
    const process = scene.process();
    const first = await process.launch();
    scene.clock.time += 60 * MINUTE;
    expect(await process.launch(NEXT)).toMatchObject({ state: "skipped", execution: null, key: null });
    scene.cloudRun.complete(first.execution!);
    expect(await process.launch(NEXT)).toMatchObject({ state: "skipped" });
    expect(scene.cloudRun.requests).toHaveLength(1);
    expect(await scene.keys()).toHaveLength(1);
  });

  it("is started when the other's execution is over, or is gone", async () => {
    const scene = oneAtATime();
    const process = scene.process();
    const first = await process.launch();
    scene.cloudRun.complete(first.execution!);
    const second = await process.launch(NEXT);
    expect(second).toMatchObject({ state: "started" });
    expect(second.runId).not.toBe(first.runId);
    scene.cloudRun.execution = async () => null;
    expect(await process.launch(THIRD)).toMatchObject({ state: "started" });
    expect(scene.cloudRun.requests).toHaveLength(3);
  });

  it("is pending while Cloud Run cannot say whether the other is over", async () => {
    const scene = oneAtATime();
    const process = scene.process();
    await process.launch();
    scene.cloudRun.unavailable = true;
    await pendingOf(process.launch(NEXT));
    scene.cloudRun.unavailable = false;
    expect(await process.launch(NEXT)).toMatchObject({ state: "skipped" });
  });

  it("is started when the other was refused", async () => {
    const scene = oneAtATime();
    const process = scene.process();
    scene.cloudRun.endings = ["refused"];
    await expect(process.launch()).rejects.toThrow("launch_refused");
    expect(await process.launch(NEXT)).toMatchObject({ state: "started" });
  });

  it("of two that ask at once one is started", async () => {
    const scene = oneAtATime();
    scene.store.plan({ seed: 3, turns: 6 });
    const [first, second] = [scene.process(), scene.process()];
    await Promise.allSettled([first.launch(), second.launch(NEXT), first.launch(THIRD)]);
    const ends = await Promise.all([first.launch(), second.launch(NEXT), second.launch(THIRD)]);
    expect(ends.map(({ state }) => state).sort()).toEqual(["skipped", "skipped", "started"]);
    expect(scene.cloudRun.executions).toHaveLength(1);
  });
});

describe("a run that has the turn and no execution", () => {
  it("keeps the turn while somebody tries to start it", async () => {
    const scene = oneAtATime();
    const process = await busyFirst(scene);
    await pendingOf(process.launch(NEXT));
    expect(await process.launch()).toMatchObject({ state: "started" });
    expect(await process.launch(NEXT)).toMatchObject({ state: "skipped" });
  });

  it("loses it when nobody has tried for ten minutes: then it never starts, and its key is revoked", async () => {
    const scene = oneAtATime();
    const process = await busyFirst(scene);
    const [left] = await scene.keys();
    scene.clock.time += 11 * MINUTE;
    const second = await process.launch(NEXT);
    expect(second).toMatchObject({ state: "started" });
    expect(await process.ledger.fresh(left!.keyId)).toMatchObject({ status: "revoked" });
    expect(await process.launch()).toMatchObject({ state: "skipped", key: null });
    expect(scene.cloudRun.executions).toHaveLength(1);
  });

  it("is not taken for left when its execution was started and not recorded", async () => {
    const scene = oneAtATime();
    const process = scene.process();
    scene.cloudRun.endings = ["unclear, started"];
    await pendingOf(process.launch());
    scene.clock.time += 11 * MINUTE;
    expect(await process.launch(NEXT)).toMatchObject({ state: "skipped" });
    expect(scene.cloudRun.executions).toHaveLength(1);
    expect(await process.launch()).toMatchObject({ state: "started" });
  });

  it("gets its key revoked by the next run when the one that closed it ended in between", async () => {
    const scene = oneAtATime();
    await busyFirst(scene);
    const [left] = await scene.keys();
    scene.clock.time += 11 * MINUTE;
    const breaks = scene.process({
      store: (store) =>
        new Proxy(store, {
          get: (target, name) =>
            name === "commit"
              ? () => Promise.reject(new Error("the process ended"))
              : Reflect.get(target, name, target).bind?.(target),
        }),
    });
    await expect(breaks.launch(NEXT)).rejects.toThrow();
    const process = scene.process();
    expect(await process.ledger.fresh(left!.keyId)).toMatchObject({ status: "active" });
    expect(await process.launch(NEXT)).toMatchObject({ state: "started" });
    expect(await process.ledger.fresh(left!.keyId)).toMatchObject({ status: "revoked" });
  });
});
