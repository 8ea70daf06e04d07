/** A local Google Cloud with a real proxy before emulate's vendors: what the examples of Cloud Run jobs run in. */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import { type LocalCloud, type LocalExecution, startLocalCloud } from "../../examples/local-cloud/local-cloud.ts";
import type { policySchema } from "../../service/policies/policy.ts";
import { type RunningProxy, startProxy } from "../support/proxy.ts";
import { type EmulatedVendor, startEmulate } from "../support/vendors/emulate.ts";
import type { VendorServer } from "../support/vendors/vendor-server.ts";

export const PROJECT = "local-project";
export const LOCATION = "us-central1";
export const AUDIENCE = `keybrake/${PROJECT}/${LOCATION}/keybrake`;
export const account = (job: string): string => `${job}@${PROJECT}.iam.gserviceaccount.com`;
/** As a budgeted job has it: one that may launch this job and nothing else. */
const schedulerOf = (job: string): string => account(`${job}-scheduler`);

type Budget = NonNullable<z.input<typeof policySchema>["budget"]>;

export interface JobWorld<V extends EmulatedVendor> {
  directory: string;
  cloud: LocalCloud;
  proxy: RunningProxy;
  vendors: Record<V, VendorServer>;
  /** One tick of Scheduler, delivered twice. */
  launch(job: string): Promise<LocalExecution>;
  /** As `gcloud run jobs execute` does: nobody gives it a key. */
  execute(job: string): Promise<LocalExecution>;
  /** What the tasks of all executions have printed. */
  log(): string;
  stop(): Promise<void>;
}

/** @param budgets of each job, by its name. */
export async function startJobWorld<V extends EmulatedVendor>(
  names: readonly V[],
  budgets: Readonly<Record<string, Budget>>,
): Promise<JobWorld<V>> {
  const directory = mkdtempSync(join(tmpdir(), "keybrake-examples-"));
  const stops: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const logFile = join(directory, "tasks.log");
    const logFd = openSync(logFile, "a");
    stops.push(() => closeSync(logFd));
    const vendors = {} as Record<V, VendorServer>;
    for (const name of names) {
      const vendor = await startEmulate(name);
      vendors[name] = vendor;
      stops.push(() => vendor.stop());
    }
    const cloud = await startLocalCloud({ project: PROJECT, location: LOCATION, logFd });
    stops.push(() => cloud.close());
    const policies = join(directory, "policies.json");
    writeFileSync(policies, JSON.stringify(policiesOf(budgets)));
    const env = { KEYBRAKE_GOOGLE_APIS: cloud.url, KEYBRAKE_AUDIENCE: AUDIENCE, KEYBRAKE_POLICIES: policies };
    const proxy = await startProxy({ vendors, env });
    stops.push(() => proxy.stop());
    const newest = (): Promise<LocalExecution> => cloud.ended(cloud.executions()[0]!.name);
    return {
      ...{ directory, cloud, proxy, vendors, stop },
      log: () => readFileSync(logFile, "utf8"),
      launch: async (job) => {
        const statuses = await cloud.tick({
          url: `${proxy.url}/jobs/${job}/executions`,
          name: job,
          audience: AUDIENCE,
          account: schedulerOf(job),
          scheduleTime: nextMinute(),
        });
        if (statuses.some((status) => status !== 200 && status !== 201)) throw new Error(`launched with ${statuses}`);
        return newest();
      },
      execute: async (job) => {
        const name = `projects/${PROJECT}/locations/${LOCATION}/jobs/${job}`;
        const answer = await fetch(`${cloud.url}/v2/${name}:run`, { method: "POST" });
        if (!answer.ok) throw new Error(await answer.text());
        return newest();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each launch is scheduled a minute after the one before, all of them in the past. */
let launches = 0;
function nextMinute(): string {
  const minute = Math.floor(Date.now() / 60_000) - 600 + launches++;
  return new Date(minute * 60_000).toISOString().replace(".000Z", "Z");
}

function policiesOf(budgets: Readonly<Record<string, Budget>>): Record<string, z.input<typeof policySchema>> {
  const policies: Record<string, z.input<typeof policySchema>> = {};
  for (const [job, budget] of Object.entries(budgets)) {
    policies[job] = {
      version: 1,
      job: { project: PROJECT, location: LOCATION, service_account: account(job) },
      principal_ids: [account(job), schedulerOf(job)],
      principals: [
        { email: account(job), may: ["claim", "read", "revoke"] },
        { email: schedulerOf(job), may: ["launch"] },
      ],
      budget,
    };
  }
  return policies;
}
