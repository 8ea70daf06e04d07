/** Gives what a Pulumi program would register, as it stands, to the local Google Cloud and to a real proxy. */
import type { JobArgs, ServiceArgs } from "@pulumi/gcp/cloudrunv2/index.js";
import type { JobArgs as SchedulerArgs } from "@pulumi/gcp/cloudscheduler/index.js";
import type { Unwrap } from "@pulumi/pulumi";
import { type DemoProxy, startProxy } from "../../examples/billing-demo/proxy.ts";
import type { LocalCloud, LocalJob } from "../../examples/local-cloud/local-cloud.ts";
import type { Made, Run } from "./mock-program.ts";

/** The only things that are other than the components say. */
export interface LocalOnly {
  /** Added to the proxy's environment, beside PORT and HOST. */
  proxyEnv: Record<string, string>;
  /** Vendor's id → where it is on loopback. */
  upstreams: Record<string, string>;
  /** Added to the tasks' environment: what an image would have of its own. */
  imageEnv: Record<string, string>;
}

export interface Deployment {
  proxy: DemoProxy;
  /** One tick of this Scheduler job, delivered twice. @returns the last status of each delivery. */
  tick(schedule: string, scheduleTime: string): Promise<number[]>;
}

export const ofType = ({ made }: Run, type: string): Made[] => made.filter((each) => each.type === type);

/** Inputs of the only resource of a type. */
export function only<T>(run: Run, type: string): T {
  const [found, ...more] = ofType(run, type);
  if (!found || more.length > 0) throw new Error(`the program makes ${more.length + (found ? 1 : 0)} of ${type}`);
  return found.inputs as T;
}

type Env = { name: string; value?: string }[];

function environmentOf(envs: Env): Record<string, string> {
  return Object.fromEntries(
    envs.map(({ name, value }) => {
      if (value === undefined) throw new Error(`${name} has no plain value`);
      return [name, value];
    }),
  );
}

/** @param admin account that asks for the books. @param local what is replaced. */
export async function deployLocally(
  run: Run,
  cloud: LocalCloud,
  firestore: string,
  admin: string,
  local: LocalOnly,
): Promise<Deployment> {
  for (const { inputs } of ofType(run, "gcp:secretmanager/secret:Secret")) {
    cloud.createSecret(`projects/${inputs.project}/secrets/${inputs.secretId}`);
  }
  for (const { inputs } of ofType(run, "gcp:firestore/document:Document")) await writeDocument(firestore, inputs);
  const service = only<Unwrap<ServiceArgs>>(run, "gcp:cloudrunv2/service:Service");
  const env = environmentOf((service.template!.containers?.[0]?.envs ?? []) as Env);
  const vendors = JSON.parse(env.KEYBRAKE_VENDORS ?? "{}") as Record<string, object>;
  for (const [id, upstream] of Object.entries(local.upstreams)) vendors[id] = { ...vendors[id], upstream };
  const audience = env.KEYBRAKE_AUDIENCE ?? "";
  const proxy = await startProxy({ ...env, ...local.proxyEnv, KEYBRAKE_VENDORS: JSON.stringify(vendors) }, () =>
    cloud.idToken(admin, audience),
  );
  const deployed = String(run.outputs.url);
  const here = (text: string): string => text.replaceAll(deployed, proxy.url);
  const job = only<Unwrap<JobArgs>>(run, "gcp:cloudrunv2/job:Job");
  cloud.setJob(job.name!, localJob(job, here, local.imageEnv));
  return { proxy, tick: (schedule, time) => fire(run, cloud, schedule, time, here) };
}

async function writeDocument(host: string, inputs: Record<string, unknown>): Promise<void> {
  const { project, database, collection, documentId, fields } = inputs;
  const path = `projects/${project}/databases/${database}/documents/${collection}/${documentId}`;
  const response = await fetch(`http://${host}/v1/${path}`, {
    method: "PATCH",
    headers: { authorization: "Bearer owner", "content-type": "application/json" },
    body: `{"fields":${String(fields)}}`,
  });
  if (!response.ok) throw new Error(`Firestore answered ${response.status}: ${await response.text()}`);
}

function localJob(
  { template: { taskCount, parallelism, template } }: Unwrap<JobArgs>,
  here: (text: string) => string,
  imageEnv: Record<string, string>,
): LocalJob {
  const { containers = [], maxRetries, serviceAccount, timeout } = template;
  const tasks = taskCount!;
  return {
    serviceAccount: serviceAccount!,
    containers: containers.map(({ name, commands, args, envs }) => ({
      name: name ?? null,
      command: commands ?? [],
      args: args ?? [],
      env: { ...imageEnv, ...JSON.parse(here(JSON.stringify(environmentOf((envs ?? []) as Env)))) },
    })),
    tasks,
    // 0 is as many as there are.
    parallelism: parallelism || tasks,
    maxRetries: maxRetries!,
    taskTimeoutMs: Number.parseInt(timeout!, 10) * 1_000,
  };
}

/** Throws where the request would have something that the local Scheduler does not send. */
function fire(
  run: Run,
  cloud: LocalCloud,
  schedule: string,
  scheduleTime: string,
  here: (text: string) => string,
): Promise<number[]> {
  const found = ofType(run, "gcp:cloudscheduler/job:Job").find(({ inputs }) => inputs.name === schedule);
  if (!found) throw new Error(`there is no schedule ${schedule}`);
  const { httpTarget, retryConfig } = found.inputs as Unwrap<SchedulerArgs>;
  const { httpMethod, uri, oidcToken, ...more } = httpTarget!;
  if (httpMethod !== "POST" || Object.keys(more).length > 0) {
    throw new Error(`the local Scheduler sends a bare POST, not ${httpMethod} with ${Object.keys(more)}`);
  }
  return cloud.tick({
    url: here(uri),
    audience: oidcToken!.audience!,
    account: oidcToken!.serviceAccountEmail,
    name: schedule,
    scheduleTime,
    retryCount: retryConfig!.retryCount!,
  });
}
