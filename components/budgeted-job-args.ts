import type * as pulumi from "@pulumi/pulumi";
import type { JobBudget, JobEgress } from "./budget-args";
import type { ProxyReference } from "./reference";

/** How an execution gets its key. */
export enum SetupMode {
  /** Scheduler, or `keybrake run JOB`, asks the proxy, which starts the execution with the key in its environment. */
  Launch = "launch",
  /** However it was started, the execution asks for its key itself: its command begins with `keybrake exec --`. */
  Claim = "claim",
}

/** When the job is launched. */
export interface JobSchedule {
  /** Five fields: `0 2 * * *` is two o'clock at night. */
  cron: string;
  /** Time zone of the tz database: `Europe/Berlin`. Default: `Etc/UTC`. */
  timeZone?: string;
  /** Further tries of one launch when the proxy or Cloud Run cannot be reached; a repeated one starts nothing twice. Default: 5. */
  retries?: number;
  /** Default: false. */
  paused?: boolean;
}

/** A variable of the tasks: with `value`, or with `secret`. */
export interface JobVariable {
  /** Not one that Cloud Run or the proxy sets. */
  name: string;
  value?: pulumi.Input<string>;
  /** A secret that is no vendor's: `projects/PROJECT/secrets/SECRET`, or a short name. The tasks' account may then read it. */
  secret?: pulumi.Input<string>;
  /** Version of the secret. Default: `latest`. */
  version?: pulumi.Input<string>;
}

/** When a container counts as started, so that those that depend on it may start. */
export interface JobStartupProbe {
  port: number;
  /** Path of an HTTP GET. Default: a TCP connection is enough. */
  path?: string;
  /** Seconds between tries. Default: 1. */
  periodSeconds?: number;
  /** Tries. Default: 60. */
  failureThreshold?: number;
}

/** One container of a task. */
export interface JobContainer {
  /** Unique in the job. */
  name: string;
  image: pulumi.Input<string>;
  /** Default: the image's entrypoint. When it is given, the task's number is added to the key (see `taskContext`). */
  command?: string[];
  args?: string[];
  env?: JobVariable[];
  /** Default: `1`. */
  cpu?: string;
  /** Default: `512Mi`. */
  memory?: string;
  /** Names of containers that must have started before; each needs a `startupProbe`. */
  dependsOn?: string[];
  startupProbe?: JobStartupProbe;
}

/** A directory of the tasks: exactly one of `secret`, `bucket` and `memory`. */
export interface JobVolume {
  name: string;
  /** Where every container finds it: `/data`. */
  mountPath: string;
  /** A secret that is no vendor's, as a file named `value`. The tasks' account may then read it. */
  secret?: pulumi.Input<string>;
  /** A bucket of Cloud Storage. The tasks' account may then use its objects. */
  bucket?: pulumi.Input<string>;
  /** Of a bucket. Default: false. */
  readOnly?: boolean;
  /** Size of a directory in memory that a task's containers share: `256Mi`. */
  memory?: string;
}

/** The network that tasks are in. */
export interface JobVpc {
  /** Default: the subnetwork's. */
  network?: pulumi.Input<string>;
  subnetwork?: pulumi.Input<string>;
  /** Network tags. */
  tags?: string[];
  /** Default: `PRIVATE_RANGES_ONLY`. */
  egress?: JobEgress;
}

export interface BudgetedJobArgs {
  /** The proxy that gives the job its keys: `reference` of a `KeybrakeProxy`. */
  proxy: pulumi.Input<ProxyReference>;
  /** What each execution may spend, where, and for how long. */
  budget: JobBudget;
  /** Container image of the tasks. Or say `containers`. */
  image?: pulumi.Input<string>;
  /** Command of `image`. Default: the image's entrypoint. When it is given, the task's number is added to the key (see `taskContext`). */
  command?: string[];
  args?: string[];
  /** Variables of `image`. */
  env?: JobVariable[];
  /** CPUs of `image`. Default: `1`. */
  cpu?: string;
  /** Memory of `image`. Default: `512Mi`. */
  memory?: string;
  /** Several containers per task, in place of `image`. Each of them gets the key. */
  containers?: JobContainer[];
  /** Tasks of an execution, 1 to 10000. Default: 1. */
  tasks?: number;
  /** Tasks at one time; 0: as many as Cloud Run can. Default: 0. */
  parallelism?: number;
  /** Further attempts of a task that failed, 0 to 10. Default: 3. */
  maxRetries?: number;
  /** Limit of one attempt, up to 7 days: `600s`, `2h`. Default: `600s`. */
  taskTimeout?: string;
  /** When the job is launched. Default: by hand, `keybrake run JOB`, or by whatever starts it when `setup` is `claim`. */
  schedule?: JobSchedule;
  /** Default: `launch`. */
  setup?: SetupMode;
  /** A launch while another execution of the job still runs is skipped. Default: false. */
  oneAtATime?: boolean;
  /**
   * With `launch` and a `command`: starts it through one line of `sh`, which adds the task's index and attempt to the key and stops with a clear
   * message where there is none. Set false for an image without a shell. Default: true.
   */
  taskContext?: boolean;
  /** Directories of the tasks. */
  volumes?: JobVolume[];
  /** Default: no VPC. */
  vpc?: JobVpc;
  /** Labels of the job. */
  labels?: Record<string, string>;
  /** Name of the Cloud Run job, and id of its policy, at most 24 characters. Default: the component's name. */
  jobName?: string;
  /** While true the job cannot be deleted. Default: false. */
  deleteProtection?: boolean;
}
