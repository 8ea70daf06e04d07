/** Who may do what with a job: no more than it takes to launch it, and to tell its executions. */
import * as cloudrun from "@pulumi/gcp/cloudrunv2";
import * as secretmanager from "@pulumi/gcp/secretmanager";
import * as storage from "@pulumi/gcp/storage";
import type * as pulumi from "@pulumi/pulumi";
import type { MadeAccount } from "./account";
import type { BudgetedJobArgs } from "./budgeted-job-args";
import { containersOf } from "./containers";
import { map } from "./inputs";
import { fullSecretName } from "./names";
import type { ProxyReference } from "./reference";

/**
 * The proxy reads the job's executions, to find one that it started and to confirm one that claims. To start one with its key it needs the
 * right to override (https://cloud.google.com/run/docs/execute/jobs, read 2026-11); that page asks for no right on the tasks' account.
 */
export function letProxyLaunch(
  name: string,
  job: cloudrun.Job,
  proxy: ProxyReference,
  launches: boolean,
  parent: pulumi.Resource,
): pulumi.Resource[] {
  const member = map(proxy.serviceAccountEmail, (email) => `serviceAccount:${email}`);
  const place = { project: proxy.project, location: proxy.location, name: job.name, member };
  const made = [new cloudrun.JobIamMember(`${name}-proxy-reads`, { ...place, role: "roles/run.viewer" }, { parent })];
  if (launches) {
    const role = "roles/run.jobsExecutorWithOverrides";
    made.push(new cloudrun.JobIamMember(`${name}-proxy-launches`, { ...place, role }, { parent }));
  }
  return made;
}

/** Secrets and buckets that the tasks mount. @returns what must be there before the job is made. */
export function letTasksMount(
  name: string,
  args: BudgetedJobArgs,
  proxy: ProxyReference,
  tasks: MadeAccount,
  parent: pulumi.Resource,
): pulumi.Resource[] {
  const { volumes = [] } = args;
  const mounted = containersOf(args).flatMap(({ name: container, env = [] }) =>
    env.flatMap((each) =>
      each.secret === undefined ? [] : [[`${container ?? "env"}-${each.name.toLowerCase()}`, each.secret] as const],
    ),
  );
  const secrets = [
    ...mounted,
    ...volumes.flatMap((each) => (each.secret === undefined ? [] : [[each.name, each.secret] as const])),
  ];
  const seen = new Set<unknown>();
  const made: pulumi.Resource[] = [];
  for (const [what, secret] of secrets) {
    if (seen.has(secret)) continue;
    seen.add(secret);
    const secretId = map({ secret, project: proxy.project }, (read) => fullSecretName(read.secret, read.project));
    const binding = { secretId, role: "roles/secretmanager.secretAccessor", member: tasks.member };
    made.push(new secretmanager.SecretIamMember(`${name}-reads-${what}`, binding, { parent }));
  }
  for (const { name: what, bucket, readOnly = false } of volumes) {
    if (bucket === undefined) continue;
    const role = readOnly ? "roles/storage.objectViewer" : "roles/storage.objectUser";
    made.push(new storage.BucketIAMMember(`${name}-uses-${what}`, { bucket, role, member: tasks.member }, { parent }));
  }
  return made;
}
