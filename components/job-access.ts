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
  const made = new Map<unknown, pulumi.Resource>();
  for (const { what, secret } of secretsOf(args)) {
    const secretId = map({ secret, project: proxy.project }, (read) => fullSecretName(read.secret, read.project));
    // Named by the secret, not by what mounts it: under another name the old binding would be removed after the new one, which is the same.
    const bound = typeof secretId === "string" ? nameOfSecret(secretId, proxy) : what;
    const key = typeof secretId === "string" ? secretId : secret;
    if (made.has(key)) continue;
    const binding = { secretId, role: "roles/secretmanager.secretAccessor", member: tasks.member };
    made.set(key, new secretmanager.SecretIamMember(`${name}-reads-${bound}`, binding, { parent }));
  }
  for (const { name: volume, bucket, readOnly = false } of args.volumes ?? []) {
    if (bucket === undefined) continue;
    const key = typeof bucket === "string" ? `${bucket} ${readOnly}` : { volume };
    if (made.has(key)) continue;
    const role = readOnly ? "roles/storage.objectViewer" : "roles/storage.objectUser";
    const bound = `${name}-${readOnly ? "reads" : "uses"}-${typeof bucket === "string" ? bucket : volume}`;
    made.set(key, new storage.BucketIAMMember(bound, { bucket, role, member: tasks.member }, { parent }));
  }
  return [...made.values()];
}

/** What the tasks mount, and what to call it where the secret's own name is not a plain text. */
function secretsOf(args: BudgetedJobArgs): { what: string; secret: pulumi.Input<string> }[] {
  const variables = containersOf(args).flatMap(({ name, env = [] }) =>
    env.map((each) => ({ what: `${name ?? "env"}-${each.name}`, secret: each.secret })),
  );
  const volumes = (args.volumes ?? []).map((each) => ({ what: each.name, secret: each.secret }));
  return [...variables, ...volumes].flatMap(({ what, secret }) => (secret === undefined ? [] : [{ what, secret }]));
}

/** `S`, or `P.S` of another project than the proxy's. */
const nameOfSecret = (full: string, { project }: ProxyReference): string => {
  const [, place, secret = full] = /^projects\/([^/]+)\/secrets\/(.+)$/.exec(full) ?? [];
  return place === project ? secret : `${place}.${secret}`;
};
