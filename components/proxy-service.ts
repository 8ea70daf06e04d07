/** The proxy as a service of Cloud Run. */
import * as cloudrun from "@pulumi/gcp/cloudrunv2";
import * as pulumi from "@pulumi/pulumi";
import type { PlainProxyArgs } from "./plain-proxy-args";
import { ProxyIngress } from "./proxy-args";
import { configFaults } from "./service-rules";
import type { SourceArchive } from "./source-archive";

/** Google's runtime, as the resource's own example names it (@pulumi/gcp 9.37, read 2026-11). */
const BASE_IMAGE = "us-central1-docker.pkg.dev/serverless-runtimes/google-24-full/runtimes/nodejs24";

export interface ServiceParts {
  project: pulumi.Input<string>;
  serviceAccount: pulumi.Input<string>;
  env: Record<string, pulumi.Input<string>>;
  /** `null`: the proxy has an image. */
  source: SourceArchive | null;
}

export function makeService(
  name: string,
  args: PlainProxyArgs,
  { project, serviceAccount, env, source }: ServiceParts,
  opts: pulumi.CustomResourceOptions,
): cloudrun.Service {
  return new cloudrun.Service(
    name,
    {
      project,
      name,
      location: args.location,
      labels: args.labels,
      ingress: args.ingress === ProxyIngress.Internal ? "INGRESS_TRAFFIC_INTERNAL_ONLY" : "INGRESS_TRAFFIC_ALL",
      // Vendors' SDKs put the vault key where Cloud Run would look for an ID token; the proxy itself checks every request.
      invokerIamDisabled: true,
      deletionProtection: args.deleteProtection ?? true,
      template: {
        serviceAccount,
        maxInstanceRequestConcurrency: args.concurrency ?? 250,
        scaling: { minInstanceCount: args.minInstances ?? 1, maxInstanceCount: args.maxInstances ?? 3 },
        containers: [
          {
            ...(source === null ? { image: args.image ?? "" } : sourceOf(source)),
            envs: envsOf(name, env),
            ports: { containerPort: 8080 },
            resources: {
              limits: { cpu: args.cpu ?? "1", memory: args.memory ?? "1Gi" },
              // Outcomes are written after the answer, and unknown calls are looked up between requests.
              cpuIdle: false,
              startupCpuBoost: true,
            },
            startupProbe: {
              httpGet: { path: "/health", port: 8080 },
              periodSeconds: 1,
              timeoutSeconds: 1,
              failureThreshold: 60,
            },
          },
        ],
      },
    },
    opts,
  );
}

/** Without a build: https://cloud.google.com/run/docs/deploying-source-code (read 2026-11). */
function sourceOf({ bucket, object }: SourceArchive) {
  return {
    image: "scratch",
    baseImageUri: BASE_IMAGE,
    commands: ["node"],
    args: ["main.mjs"],
    sourceCode: {
      cloudStorageSource: { bucket: bucket.name, object: object.name, generation: object.generation.apply(String) },
    },
  };
}

/** In the order of their names: another order would be a new revision. The service's own reader checks them first. */
function envsOf(name: string, env: Record<string, pulumi.Input<string>>) {
  return pulumi.output(env).apply((known) => {
    const faults = configFaults(known);
    if (faults.length > 0)
      throw new pulumi.RunError(faults.map((each) => `KeybrakeProxy "${name}": ${each}`).join("\n"));
    return Object.keys(known)
      .sort()
      .map((each) => ({ name: each, value: known[each] ?? "" }));
  });
}
