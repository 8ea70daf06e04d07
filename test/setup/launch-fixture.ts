/** A launch over the real ledger and the store in memory, with a Cloud Run that does what a test says, and a clock that it moves. */
import { type Clock, systemRandom } from "../../service/clock.ts";
import type { Principal } from "../../service/control/principal.ts";
import type { Ledger } from "../../service/ledger/ledger.ts";
import { openLedger } from "../../service/ledger/open-ledger.ts";
import type { KeyState } from "../../service/ledger/types.ts";
import { createLogger } from "../../service/log.ts";
import { ownerOf, type Policy, policySchema } from "../../service/policies/policy.ts";
import { pepperInMemory } from "../../service/secrets/pepper.ts";
import {
  type CloudRun,
  CloudRunUnavailable,
  type ContainerOverride,
  type Execution,
  type RunResult,
} from "../../service/setup/cloud-run.ts";
import { variablesOf } from "../../service/setup/injected-variables.ts";
import { type LaunchDeps, launch } from "../../service/setup/launch.ts";
import type { Launched, LaunchRequest } from "../../service/setup/setup.ts";
import { MemoryStore } from "../../service/stores/memory.ts";
import type { Store } from "../../service/stores/store.ts";
import { VaultKeys } from "../../service/vault-key.ts";
import { stripe } from "../control/harness.ts";

export const JOB = "nightly-billing";
export const START = Date.UTC(2026, 10, 22, 2, 0, 3);
export const SCHEDULED = "2026-11-22T02:00:00Z";
export const MINUTE = 60_000;

/** How a `jobs.run` ends: the answer, and whether an execution starts, so many ms later. */
export type Ending =
  | "started"
  | "busy"
  | "refused"
  | "unclear, nothing started"
  | "unclear, started"
  | { unclearStartsAfterMs: number };

export class TestClock implements Clock {
  time = START;
  now = (): number => this.time;
  delay = async (): Promise<void> => {
    await new Promise(setImmediate);
    this.time += 1;
  };
}

/** What Cloud Run does with the requests of a test. Limit: it is what we think of Cloud Run, not Cloud Run. */
export class ScriptedCloudRun implements CloudRun {
  /** Ends of the next requests; then `started`. */
  endings: Ending[] = [];
  /** The next reads throw. */
  unavailable = false;
  /** Requests that reached it. */
  requests: (readonly ContainerOverride[])[] = [];
  readonly #clock: Clock;
  readonly #executions: Execution[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those that exist by now, newest first. */
  get executions(): Execution[] {
    return this.#executions.filter(({ createdAt }) => createdAt <= this.#clock.now()).reverse();
  }

  complete(execution: string): void {
    const found = this.#executions.find(({ name }) => name === execution);
    if (!found) throw new Error(`there is no execution ${execution}`);
    found.completed = true;
  }

  async run(_job: unknown, overrides: readonly ContainerOverride[]): Promise<RunResult> {
    this.requests.push(overrides);
    await new Promise(setImmediate);
    const ending = this.endings.shift() ?? "started";
    if (ending === "busy") return { kind: "busy", reason: "quota" };
    if (ending === "refused") return { kind: "refused", status: 400, reason: "no such container" };
    if (ending === "unclear, nothing started") return { kind: "unclear", reason: "no answer" };
    const late = typeof ending === "object" ? ending.unclearStartsAfterMs : 0;
    const execution: Execution = {
      name: `${JOB}-${String(this.#executions.length + 1).padStart(5, "0")}`,
      job: JOB,
      serviceAccount: "tasks@my-project.iam.gserviceaccount.com",
      completed: false,
      runId: overrides[0]?.env.KEYBRAKE_RUN_ID ?? null,
      createdAt: this.#clock.now() + late,
    };
    this.#executions.push(execution);
    if (ending === "started") return { kind: "started", execution: execution.name };
    return { kind: "unclear", reason: "no answer" };
  }

  async execution(_job: unknown, execution: string): Promise<Execution | null> {
    this.#reading();
    return this.executions.find(({ name }) => name === execution) ?? null;
  }

  async executionsSince(_job: unknown, since: number): Promise<Execution[]> {
    this.#reading();
    return this.executions.filter(({ createdAt }) => createdAt >= since);
  }

  #reading(): void {
    if (this.unavailable) throw new CloudRunUnavailable("Cloud Run answers 503: try later.");
  }
}

export function policyOf(more: Record<string, unknown> = {}, job: Record<string, unknown> = {}): Policy {
  const scheduler = "scheduler@my-project.iam.gserviceaccount.com";
  const tasks = "tasks@my-project.iam.gserviceaccount.com";
  return {
    id: JOB,
    ...policySchema.parse({
      version: 1,
      principal_ids: [scheduler, tasks],
      principals: [
        { email: scheduler, may: ["launch"] },
        { email: tasks, may: ["claim", "read", "revoke"] },
      ],
      job: { project: "my-project", location: "us-central1", service_account: tasks, ...job },
      budget: {
        vendors: ["stripe"],
        allowed_endpoints: ["POST /v1/payment_intents"],
        usd_cap: 500,
        expires_in: "2h",
        ...more,
      },
    }),
  };
}

export const scheduler = (policy: Policy): Principal => ({
  owner: ownerOf(policy.id),
  by: "scheduler@my-project.iam.gserviceaccount.com",
  may: new Set(["launch"]),
  sees: ownerOf(policy.id),
  policy,
  account: "scheduler@my-project.iam.gserviceaccount.com",
});

export const admin: Principal = {
  owner: "admin",
  by: "admin",
  may: "everything",
  sees: null,
  policy: null,
  account: null,
};

export interface Scene {
  clock: TestClock;
  store: MemoryStore;
  cloudRun: ScriptedCloudRun;
  /** As it is now: a test may put another one. */
  policy: Policy;
  logged: string[];
  /** A process of its own on the same store. Its store and Cloud Run may be wrapped, to fail. */
  process(wrap?: { store?: (store: Store) => Store; cloudRun?: (cloudRun: CloudRun) => CloudRun }): Process;
  keys(): Promise<KeyState[]>;
}

export interface Process {
  ledger: Ledger;
  /** Of Scheduler, at {@link SCHEDULED}, unless told otherwise. */
  launch(request?: Partial<LaunchRequest>): Promise<Launched>;
}

export function openScene(policy: Policy = policyOf()): Scene {
  const clock = new TestClock();
  const store = new MemoryStore({ clock });
  const cloudRun = new ScriptedCloudRun(clock);
  const logged: string[] = [];
  const log = createLogger({ write: (line) => logged.push(line) });
  const vaultKeys = new VaultKeys(pepperInMemory(systemRandom));
  const vendors = new Map([[stripe.id, stripe]]);
  const scene: Scene = {
    clock,
    store,
    cloudRun,
    policy,
    logged,
    process: (wrap = {}) => {
      const its = wrap.store?.(store) ?? store;
      const ledger = openLedger({ store: its, clock, random: systemRandom, log });
      const deps: LaunchDeps = {
        ...{ store: its, clock, random: systemRandom, log, ledger, vendors, vaultKeys },
        cloudRun: wrap.cloudRun?.(cloudRun) ?? cloudRun,
        retentionMs: 400 * 86_400_000,
        policyOf: async (id) => (id === scene.policy.id ? scene.policy : null),
        variables: (key, runId) => variablesOf({ vendors, vaultKeys, ownAccount: async () => null }, key, runId),
      };
      return {
        ledger,
        launch: (request) =>
          launch(deps, {
            principal: scheduler(scene.policy),
            job: JOB,
            scheduled: { by: "nightly", time: SCHEDULED },
            label: null,
            capMicros: null,
            ...request,
          }),
      };
    },
    keys: async () => (await store.listKeys({}, 100, null)).items,
  };
  return scene;
}
