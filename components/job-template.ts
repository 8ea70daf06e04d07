/** The job's template as Cloud Run has it. */
import * as cloudrun from "@pulumi/gcp/cloudrunv2";
import type * as pulumi from "@pulumi/pulumi";
import { interpolate } from "@pulumi/pulumi";
import { JobEgress } from "./budget-args";
import type { BudgetedJobArgs, JobStartupProbe, JobVariable, JobVolume, JobVpc } from "./budgeted-job-args";
import { type Container, containersOf, isWrapped } from "./containers";
import { parseSeconds } from "./durations";
import { map } from "./inputs";
import type { ProxyReference } from "./reference";
import { openVendors, type RuleVariable } from "./service-rules";
import { sentinel, withTaskContext } from "./task-command";

export interface JobParts {
  /** Name of the Cloud Run job. */
  job: string;
  args: BudgetedJobArgs;
  proxy: ProxyReference;
  /** E-mail address of the tasks' account. */
  serviceAccount: pulumi.Input<string>;
}

export function makeJob(name: string, parts: JobParts, opts: pulumi.CustomResourceOptions): cloudrun.Job {
  const { job, args, proxy, serviceAccount } = parts;
  const { tasks = 1, parallelism = 0, maxRetries = 3, taskTimeout = "600s", volumes = [], vpc } = args;
  return new cloudrun.Job(
    name,
    {
      project: proxy.project,
      location: proxy.location,
      name: job,
      labels: args.labels,
      deletionProtection: args.deleteProtection ?? false,
      template: {
        taskCount: tasks,
        parallelism,
        template: {
          serviceAccount,
          maxRetries,
          timeout: `${parseSeconds(taskTimeout) ?? 0}s`,
          containers: containersOf(args).map((container) => containerOf(container, parts)),
          ...(volumes.length > 0 && { volumes: volumes.map((volume) => volumeOf(volume, proxy)) }),
          ...(vpc && { vpcAccess: vpcOf(vpc) }),
        },
      },
    },
    opts,
  );
}

function containerOf(container: Container, parts: JobParts) {
  const { name, image, command, args: words, cpu = "1", memory = "512Mi", dependsOn, startupProbe } = container;
  const { job, args, proxy } = parts;
  const wrapped = command && isWrapped(container, args);
  return {
    ...(name !== null && { name }),
    image,
    ...(command && {
      commands: wrapped
        ? ofVendors(parts, (variables) => withTaskContext(job, credentialsOf(variables), command))
        : command,
    }),
    ...(words && { args: words }),
    envs: ofVendors(parts, (variables) => [
      ...proxyVariables(parts, variables),
      ...(container.env ?? []).map((each) => ownVariable(each, proxy)),
    ]),
    resources: { limits: { cpu, memory } },
    ...(dependsOn && { dependsOns: dependsOn }),
    ...(startupProbe && { startupProbe: probeOf(startupProbe) }),
    ...(args.volumes?.length && {
      volumeMounts: args.volumes.map((volume) => ({ name: volume.name, mountPath: volume.mountPath })),
    }),
  };
}

/** The variables of the budget's vendors decide it, and the proxy's own connectors decide them. */
const ofVendors = <T>({ args, proxy }: JobParts, make: (variables: RuleVariable[]) => T): pulumi.Input<T> =>
  map(proxy.connectors ?? "", (connectors) => make(openVendors(connectors || null).variables(args.budget.vendors)));

const credentialsOf = (variables: RuleVariable[]): string[] => [
  "KEYBRAKE_VAULT_KEY",
  ...new Set(variables.filter(({ is }) => is === "credential").map(({ name }) => name)),
];

interface Env {
  name: string;
  value?: pulumi.Input<string>;
  valueSource?: { secretKeyRef: { secret: pulumi.Input<string>; version: pulumi.Input<string> } };
}

/** What the launch does not set: where the proxy is. And in place of a key, until the launch sets one, what says that there is none. */
function proxyVariables({ job, args, proxy }: JobParts, variables: RuleVariable[]): Env[] {
  const paths = new Map(variables.filter(({ is }) => is === "path").map(({ name, path }) => [name, path]));
  const sentinels = args.setup === "claim" ? [] : credentialsOf(variables);
  return [
    { name: "KEYBRAKE_URL", value: proxy.url },
    { name: "KEYBRAKE_AUDIENCE", value: proxy.audience },
    ...[...paths].map(([name, path]) => ({ name, value: path === "" ? proxy.url : interpolate`${proxy.url}${path}` })),
    ...sentinels.map((name) => ({ name, value: sentinel(job) })),
  ];
}

function ownVariable({ name, value, secret, version = "latest" }: JobVariable, proxy: ProxyReference): Env {
  if (secret === undefined) return { name, value };
  return { name, valueSource: { secretKeyRef: { secret: mountable(secret, proxy), version } } };
}

/** Cloud Run takes a short name for one of its own project. */
const mountable = (secret: pulumi.Input<string>, { project }: ProxyReference): pulumi.Input<string> =>
  map({ secret, project }, (read) => read.secret.replace(`projects/${read.project}/secrets/`, ""));

function volumeOf({ name, secret, bucket, readOnly = false, memory }: JobVolume, proxy: ProxyReference) {
  if (secret !== undefined)
    return { name, secret: { secret: mountable(secret, proxy), items: [{ path: "value", version: "latest" }] } };
  if (bucket !== undefined) return { name, gcs: { bucket, readOnly } };
  return { name, emptyDir: { medium: "MEMORY", sizeLimit: memory } };
}

const vpcOf = ({ network, subnetwork, tags, egress = JobEgress.PrivateRangesOnly }: JobVpc) => ({
  egress,
  networkInterfaces: [{ network, subnetwork, tags }],
});

const probeOf = ({ port, path, periodSeconds = 1, failureThreshold = 60 }: JobStartupProbe) => ({
  ...(path === undefined ? { tcpSocket: { port } } : { httpGet: { path, port } }),
  periodSeconds,
  timeoutSeconds: 1,
  failureThreshold,
});
