import * as cloudscheduler from "@pulumi/gcp/cloudscheduler";
import * as pulumi from "@pulumi/pulumi";
import { type MadeAccount, makeAccount } from "./account";
import { policyBudget } from "./budget";
import { type BudgetedJobArgs, type JobSchedule, SetupMode } from "./budgeted-job-args";
import { checkJob, timeoutSeconds } from "./check-job";
import { containersOf, isWrapped } from "./containers";
import { longestRun } from "./durations";
import { Faults } from "./faults";
import { fieldsOf } from "./inputs";
import { letProxyLaunch, letTasksMount } from "./job-access";
import { makeJob } from "./job-template";
import { accountSuffixes } from "./names";
import { makePolicy } from "./policy-document";
import type { ProxyReference } from "./reference";

const fieldNames: readonly (keyof ProxyReference)[] = [
  "url",
  "audience",
  "database",
  "project",
  "location",
  "serviceAccountEmail",
  "vendors",
  "connectors",
  "secrets",
];

/** The reference of a proxy as single inputs, whichever way it was given. */
export const readReference = (proxy: pulumi.Input<ProxyReference>): ProxyReference => fieldsOf(proxy, fieldNames);

/**
 * A Cloud Run job of which every execution has one key of its own, with a hard cap. Its tasks can reach neither a vendor's secret nor a bigger
 * budget.
 *
 * ```ts
 * new BudgetedJob("billing", {
 *   proxy: keybrake.reference,
 *   image: "us-docker.pkg.dev/my-project/images/billing-agent",
 *   tasks: 500,
 *   parallelism: 50,
 *   budget: { usdCap: 2000, vendors: ["stripe"], allowedEndpoints: ["POST /v1/payment_intents"], expiresIn: "2h" },
 *   schedule: { cron: "0 2 * * *", timeZone: "Europe/Berlin" },
 * });
 * ```
 */
export class BudgetedJob extends pulumi.ComponentResource {
  /** Name of the Cloud Run job: `keybrake run NAME` launches it. */
  readonly jobName: pulumi.Output<string>;
  /** Id of its policy: the job's name. */
  readonly policy: pulumi.Output<string>;
  /** A POST with an ID token starts an execution. */
  readonly launchUrl: pulumi.Output<string>;
  /** E-mail address of the account that its tasks run as: give it what the tasks need beside vendors. */
  readonly serviceAccountEmail: pulumi.Output<string>;
  /** E-mail address of the account that launches it on schedule; empty without a schedule. */
  readonly schedulerServiceAccountEmail: pulumi.Output<string>;

  constructor(name: string, args: BudgetedJobArgs, opts?: pulumi.ComponentResourceOptions) {
    super("keybrake-gcp:index:BudgetedJob", name, args, opts);
    const faults = new Faults("BudgetedJob", name);
    const proxy = readReference(args.proxy);
    const job = args.jobName ?? name;
    checkJob(faults, job, args, proxy);
    const budget = budgetOf(faults, args, proxy);
    faults.stop();
    warnOfRetries(this, name, args);

    const parts: Parts = { name, job, args, proxy, parent: this };
    const tasks = accountOf(parts, accountSuffixes.tasks, `Tasks of job ${job}`);
    const scheduler = args.schedule ? accountOf(parts, accountSuffixes.scheduler, `Launches job ${job}`) : null;
    const policy = makeJobPolicy(parts, faults, budget, tasks, scheduler);
    const mounts = letTasksMount(name, args, proxy, tasks, this);
    const made = makeJob(
      name,
      { job, args, proxy, serviceAccount: tasks.account.email },
      { parent: this, dependsOn: mounts },
    );
    const launches = args.setup !== SetupMode.Claim || args.schedule !== undefined;
    const access = letProxyLaunch(name, made, proxy, launches, this);
    this.launchUrl = pulumi.interpolate`${proxy.url}/jobs/${made.name}/executions`;
    if (args.schedule && scheduler) makeSchedule(parts, args.schedule, scheduler, this.launchUrl, [policy, ...access]);

    this.jobName = made.name;
    this.policy = policy.documentId;
    this.serviceAccountEmail = tasks.account.email;
    this.schedulerServiceAccountEmail = pulumi.output(scheduler?.account.email ?? "");
    const { jobName, launchUrl, serviceAccountEmail, schedulerServiceAccountEmail } = this;
    this.registerOutputs({
      jobName,
      policy: this.policy,
      launchUrl,
      serviceAccountEmail,
      schedulerServiceAccountEmail,
    });
  }
}

interface Parts {
  name: string;
  /** Name of the Cloud Run job, and id of its policy. */
  job: string;
  args: BudgetedJobArgs;
  proxy: ProxyReference;
  parent: pulumi.Resource;
}

const accountOf = ({ name, job, proxy, parent }: Parts, suffix: string, description: string): MadeAccount =>
  makeAccount(`${name}${suffix}`, `${job}${suffix}`, proxy.project, description, { parent });

function budgetOf(faults: Faults, args: BudgetedJobArgs, proxy: ProxyReference): object {
  const { tasks = 1, parallelism = 0, maxRetries = 3, taskTimeout = "600s" } = args;
  // What is wrong with these is told elsewhere.
  const timeoutS = timeoutSeconds(taskTimeout) ?? 1;
  const defaultSeconds = longestRun(tasks, parallelism, timeoutS, maxRetries);
  return policyBudget(faults, args.budget, { proxy, leastSeconds: timeoutS, defaultSeconds });
}

/** Without the task in its key, a retried attempt whose SDK makes its own idempotency key looks like another call. */
function warnOfRetries(job: pulumi.Resource, name: string, args: BudgetedJobArgs): void {
  const { setup, maxRetries = 3 } = args;
  const bare = containersOf(args).filter((container) => !isWrapped(container, args));
  if (setup === SetupMode.Claim || maxRetries === 0 || bare.length === 0) return;
  void pulumi.log.warn(
    `BudgetedJob "${name}": \`maxRetries\` is ${maxRetries}, and the key does not tell which task a call is of, so that a retry may be taken for another call; give \`command\`, or append ~$CLOUD_RUN_TASK_INDEX~$CLOUD_RUN_TASK_ATTEMPT to the key in the code, or set \`setup\` to "claim".`,
    job,
  );
}

/** The id of the policy is the name of the job: the proxy knows the job by it. */
function makeJobPolicy(
  parts: Parts,
  faults: Faults,
  budget: object,
  tasks: MadeAccount,
  scheduler: MadeAccount | null,
) {
  const { name, job, args, proxy, parent } = parts;
  const claim = args.setup === SetupMode.Claim ? ["claim"] : [];
  const principals = [
    { email: tasks.email, may: [...claim, "read", "revoke"] },
    ...(scheduler ? [{ email: scheduler.email, may: ["launch"] }] : []),
  ];
  const policy = {
    version: 1,
    job: {
      project: proxy.project,
      location: proxy.location,
      service_account: tasks.email,
      one_at_a_time: args.oneAtATime ?? false,
      containers: args.containers?.map((container) => container.name) ?? [],
    },
    principal_ids: principals.map(({ email }) => email),
    principals,
    budget,
  };
  const { project, database, vendors, connectors } = proxy;
  const target = { project, database, id: job, policy, vendors, connectors };
  return makePolicy(`${name}-policy`, faults, target, { parent });
}

/** Each try of one scheduled time is the same run to the proxy, so trying again is safe; Scheduler's own default is not to. */
function makeSchedule(
  { name, job, proxy, parent }: Parts,
  { cron, timeZone = "Etc/UTC", retries = 5, paused = false }: JobSchedule,
  scheduler: MadeAccount,
  uri: pulumi.Input<string>,
  dependsOn: pulumi.Resource[],
): void {
  new cloudscheduler.Job(
    `${name}-schedule`,
    {
      project: proxy.project,
      region: proxy.location,
      name: `${job}-launch`,
      description: `Launches job ${job} through Keybrake`,
      schedule: cron,
      timeZone,
      paused,
      attemptDeadline: "120s",
      retryConfig: { retryCount: retries, minBackoffDuration: "10s", maxBackoffDuration: "300s", maxDoublings: 5 },
      httpTarget: {
        httpMethod: "POST",
        uri,
        oidcToken: { serviceAccountEmail: scheduler.account.email, audience: proxy.audience },
      },
    },
    { parent, dependsOn },
  );
}
