/** The billing job as Cloud Run has it: one template, with the key from the launch or claimed by `keybrake exec`. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Image } from "../billing-demo/build-image.ts";
import type { DemoOptions } from "../billing-demo/options.ts";
import type { LocalJob } from "../local-cloud/local-cloud.ts";
import { AUDIENCE, JOB, JOB_ACCOUNT, OTHER_ACCOUNT } from "./place.ts";

/** How the tasks get their key: `variables` from the launch's overrides, or `exec` by its claim. */
export type Way = "variables" | "exec";

export interface TemplateOptions {
  options: DemoOptions;
  image: Image;
  proxyUrl: string;
  customersFile: string;
  directory: string;
}

const MAX_RETRIES = 3;
const TASK_TIMEOUT_MS = 60_000;

const keybrakeExec = [
  process.execPath,
  fileURLToPath(new URL("../../service/cli/bin.js", import.meta.url)),
  "exec",
  "--",
];

export function billingJob(
  way: Way,
  { options, image, proxyUrl, customersFile, directory }: TemplateOptions,
): LocalJob {
  const task = [process.execPath, "--require", image.misfortune, image.task];
  return {
    serviceAccount: JOB_ACCOUNT,
    containers: [
      {
        name: null,
        command: way === "exec" ? [...keybrakeExec, ...task] : task,
        args: [],
        env: {
          PATH: process.env.PATH ?? "",
          KEYBRAKE_URL: proxyUrl,
          KEYBRAKE_AUDIENCE: AUDIENCE,
          // What a direct `gcloud run jobs execute` would find: no key, so that it spends nothing.
          KEYBRAKE_VAULT_KEY: "launch-this-job-through-keybrake",
          BILLING_CUSTOMERS_FILE: customersFile,
          // Hundreds of processes load the same SDK: the compiled code is kept from one to the next.
          NODE_COMPILE_CACHE: join(directory, "compile-cache"),
        },
      },
    ],
    tasks: options.tasks,
    parallelism: options.parallelism,
    maxRetries: MAX_RETRIES,
    taskTimeoutMs: TASK_TIMEOUT_MS,
  };
}

/** What the intruder's command prints, should it ever run. */
export const INTRUDED = "the intruder has a key";

/** A job of another account that says it is the billing job's execution. */
export function intrudingJob(proxyUrl: string, execution: string): LocalJob {
  const names = [`CLOUD_RUN_JOB=${JOB}`, `CLOUD_RUN_EXECUTION=${execution}`];
  return {
    serviceAccount: OTHER_ACCOUNT,
    containers: [
      {
        name: null,
        command: ["env", ...names, ...keybrakeExec, process.execPath, "-e", `console.log("${INTRUDED}")`],
        args: [],
        env: { PATH: process.env.PATH ?? "", KEYBRAKE_URL: proxyUrl, KEYBRAKE_AUDIENCE: AUDIENCE },
      },
    ],
    tasks: 1,
    parallelism: 1,
    maxRetries: 0,
    taskTimeoutMs: TASK_TIMEOUT_MS,
  };
}
