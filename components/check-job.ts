import type { BudgetedJobArgs } from "./budgeted-job-args";
import { checkVariables, checkVolumes } from "./check-mounts";
import { whole } from "./check-proxy";
import { containersOf } from "./containers";
import { checkCron, checkTimeZone } from "./cron";
import { parseSeconds } from "./durations";
import type { Faults } from "./faults";
import { accountSuffixes, checkLabels, checkName } from "./names";
import type { ProxyReference } from "./reference";
import { checkSizes } from "./sizes";

/** https://cloud.google.com/run/quotas (read 2026-11). */
const MAX_TASKS = 10_000;
const MAX_RETRIES = 10;
const MAX_TIMEOUT_S = 7 * 86_400;
const MAX_CONTAINERS = 10;
/** Cloud Run's default. */
const USUAL_MEMORY = "512Mi";
/** https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#RetryConfig (read 2026-11). */
const MAX_SCHEDULER_RETRIES = 5;

/** @param job name of the Cloud Run job. */
export function checkJob(faults: Faults, job: string, args: BudgetedJobArgs, proxy: ProxyReference): void {
  checkName(faults, args.jobName === undefined ? "name" : "jobName", job, [
    accountSuffixes.tasks,
    accountSuffixes.scheduler,
  ]);
  checkCounts(faults, args);
  checkSchedule(faults, args);
  checkContainers(faults, args);
  const containers = containersOf(args);
  for (const container of containers) checkVariables(faults, container, args, proxy);
  checkVolumes(faults, args.volumes ?? [], proxy);
  if (args.vpc && args.vpc.network === undefined && args.vpc.subnetwork === undefined) {
    faults.add("vpc", args.vpc, "which names no network", '{ network: "default" }');
  }
  checkLabels(faults, args.labels);
}

/** @returns seconds; `null` when it is no time that a task may have. */
export function timeoutSeconds(taskTimeout: string): number | null {
  const seconds = parseSeconds(taskTimeout);
  return seconds !== null && seconds <= MAX_TIMEOUT_S ? seconds : null;
}

function checkCounts(
  faults: Faults,
  { tasks = 1, parallelism = 0, maxRetries = 3, taskTimeout = "600s" }: BudgetedJobArgs,
): void {
  if (!whole(tasks, 1, MAX_TASKS)) faults.add("tasks", tasks, `which is not 1 to ${MAX_TASKS}`, "500");
  else if (!whole(parallelism, 0, tasks)) {
    faults.add(
      "parallelism",
      parallelism,
      `which is not 0 (as many as possible) to \`tasks\` (${tasks})`,
      String(tasks),
    );
  }
  if (!whole(maxRetries, 0, MAX_RETRIES)) faults.add("maxRetries", maxRetries, `which is not 0 to ${MAX_RETRIES}`, "3");
  if (timeoutSeconds(taskTimeout) === null) {
    faults.add("taskTimeout", taskTimeout, "which is no time up to 7 days", '"600s" or "2h"');
  }
}

function checkSchedule(faults: Faults, { schedule }: BudgetedJobArgs): void {
  if (!schedule) return;
  checkCron(faults, "schedule.cron", schedule.cron);
  if (schedule.timeZone !== undefined) checkTimeZone(faults, "schedule.timeZone", schedule.timeZone);
  const { retries = MAX_SCHEDULER_RETRIES } = schedule;
  if (!whole(retries, 0, MAX_SCHEDULER_RETRIES)) {
    faults.add("schedule.retries", retries, `which is not 0 to ${MAX_SCHEDULER_RETRIES}`, "5");
  }
}

const ofImage = ["image", "command", "args", "env", "cpu", "memory"] as const;

function checkContainers(faults: Faults, args: BudgetedJobArgs): void {
  const { containers } = args;
  const image = '"us-docker.pkg.dev/my-project/images/billing-agent"';
  if (!containers) {
    if (args.image === undefined) faults.add("image", undefined, "and so are `containers`", image);
    else checkSizes(faults, "", args, USUAL_MEMORY);
    return;
  }
  const both = ofImage.find((prop) => args[prop] !== undefined);
  if (both) faults.add(both, args[both], "and there are `containers` too", `to say it in \`containers[0].${both}\``);
  if (!whole(containers.length, 1, MAX_CONTAINERS)) {
    faults.add(
      "containers",
      `${containers.length} of them`,
      `and there may be 1 to ${MAX_CONTAINERS}`,
      `[{ name: "agent", image: ${image} }]`,
    );
  }
  for (const [index, { name, dependsOn = [], ...sizes }] of containers.entries()) {
    const at = `containers[${index}].`;
    if (!/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(name))
      faults.add(`${at}name`, name, "which is not 1 to 63 of a-z 0-9 -", '"agent"');
    if (containers.findIndex((each) => each.name === name) < index)
      faults.add(`${at}name`, name, "which is there twice", `"${name}-${index}"`);
    for (const other of dependsOn) {
      const found = containers.find((each) => each.name === other && each.name !== name);
      if (!found)
        faults.add(
          `${at}dependsOn`,
          other,
          "which is no other container",
          `one of ${containers.map((each) => each.name).join(", ")}`,
        );
      else if (!found.startupProbe)
        faults.add(
          `${at}dependsOn`,
          other,
          "which has no `startupProbe`",
          "a container with { startupProbe: { port: 8080 } }",
        );
    }
    checkSizes(faults, at, sizes, USUAL_MEMORY);
  }
}
