/** Cloud Run's v2 JSON, as far as the local one has it. The type checker holds it against the published client's types (`test/local-cloud/cloud-run-types.test.ts`). */
import { z } from "zod";
import type { LocalContainer, LocalJob } from "./local-cloud.ts";

export interface EnvVarJson {
  name: string;
  value: string;
}

export interface ContainerJson {
  name?: string;
  image: string;
  command: string[];
  args?: string[];
  env?: EnvVarJson[];
}

export interface ConditionJson {
  type: string;
  state: string;
  message?: string;
  lastTransitionTime: string;
  executionReason?: string;
}

/** Fields that are zero, false or empty are left out, as Google's JSON leaves them out. */
export interface ExecutionJson {
  name: string;
  uid: string;
  creator: string;
  generation: string;
  createTime: string;
  startTime: string;
  updateTime: string;
  completionTime?: string;
  launchStage: string;
  job: string;
  parallelism: number;
  taskCount: number;
  template: { containers: ContainerJson[]; maxRetries?: number; timeout: string; serviceAccount: string };
  reconciling?: boolean;
  conditions: ConditionJson[];
  observedGeneration: string;
  runningCount?: number;
  succeededCount?: number;
  failedCount?: number;
  cancelledCount?: number;
  retriedCount?: number;
  etag: string;
}

export interface OperationJson {
  name: string;
  metadata: { "@type": string } & ExecutionJson;
  done?: boolean;
  response?: { "@type": string } & ExecutionJson;
  error?: { code: number; message: string };
}

const envVar = z.strictObject({ name: z.string().min(1).max(32_768), value: z.string().max(32_768).default("") });

/** Strict: Google's JSON parser refuses a field that it does not know. */
export const runJobRequest = z.strictObject({
  etag: z.string().optional(),
  validateOnly: z.boolean().optional(),
  overrides: z
    .strictObject({
      containerOverrides: z
        .array(
          z.strictObject({
            name: z.string().optional(),
            args: z.array(z.string()).optional(),
            clearArgs: z.boolean().optional(),
            env: z.array(envVar).optional(),
          }),
        )
        .optional(),
      taskCount: z.int().min(0).max(10_000).optional(),
      timeout: z
        .string()
        .regex(/^\d{1,6}(\.\d{1,9})?s$/, "must be seconds, such as 600s")
        .optional(),
    })
    .optional(),
});
export type RunJobRequestJson = z.input<typeof runJobRequest>;
export type RunOverrides = NonNullable<z.output<typeof runJobRequest>["overrides"]>;

const RESERVED = /^(CLOUD_RUN_(JOB|EXECUTION|TASK_INDEX|TASK_COUNT|TASK_ATTEMPT)|PORT)$/;

/**
 * The job as one execution runs it.
 * @returns a sentence when the overrides do not fit the job.
 */
export function applyOverrides(job: LocalJob, overrides: RunOverrides): LocalJob | string {
  const containers: LocalContainer[] = job.containers.map((each) => ({ ...each }));
  const seen = new Set<number>();
  for (const { name, args, clearArgs, env = [] } of overrides.containerOverrides ?? []) {
    const index = name ? containers.findIndex((each) => each.name === name) : containers.length === 1 ? 0 : -1;
    const container = containers[index];
    if (!container || seen.has(index)) {
      return `overrides.container_overrides: ${name ? `${name} must name one container of the job, once` : "a name is required when the job has several containers"}`;
    }
    seen.add(index);
    const reserved = env.find((each) => RESERVED.test(each.name));
    if (reserved) return `overrides.container_overrides.env: ${reserved.name} is reserved`;
    containers[index] = {
      ...container,
      args: args && args.length > 0 ? args : clearArgs ? [] : container.args,
      env: { ...container.env, ...Object.fromEntries(env.map((each) => [each.name, each.value])) },
    };
  }
  return {
    ...job,
    containers,
    tasks: overrides.taskCount || job.tasks,
    taskTimeoutMs: overrides.timeout === undefined ? job.taskTimeoutMs : Number.parseFloat(overrides.timeout) * 1_000,
  };
}

export function templateJson(job: LocalJob): ExecutionJson["template"] {
  return {
    containers: job.containers.map(({ name, command, args, env }) => ({
      ...(name !== null && { name }),
      image: "local",
      command: [...command],
      ...(args.length > 0 && { args: [...args] }),
      ...(Object.keys(env).length > 0 && { env: Object.entries(env).map(([key, value]) => ({ name: key, value })) }),
    })),
    ...(job.maxRetries > 0 && { maxRetries: job.maxRetries }),
    timeout: `${job.taskTimeoutMs / 1_000}s`,
    serviceAccount: job.serviceAccount,
  };
}
