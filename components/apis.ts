import * as projects from "@pulumi/gcp/projects";
import type * as pulumi from "@pulumi/pulumi";

/** Google APIs that the proxy, its jobs and their deployment use. */
export const apis = [
  "cloudresourcemanager",
  "cloudscheduler",
  "firestore",
  "iam",
  "logging",
  "monitoring",
  "run",
  "secretmanager",
  "storage",
] as const;

/** They stay enabled after a destroy: others may use them. */
export function enableApis(
  name: string,
  project: pulumi.Input<string>,
  opts: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  return apis.map(
    (api) =>
      new projects.Service(
        `${name}-api-${api}`,
        { project, service: `${api}.googleapis.com`, disableOnDestroy: false },
        opts,
      ),
  );
}
