/** The secret that the vault keys' text is made of. The proxy makes its first version itself. */
import * as secretmanager from "@pulumi/gcp/secretmanager";
import type * as pulumi from "@pulumi/pulumi";

export interface PepperArgs {
  project: pulumi.Input<string>;
  secretId: string;
  /** The proxy's account. */
  member: pulumi.Input<string>;
  deleteProtection: boolean;
  labels: Record<string, string> | undefined;
}

/** Read, list and add: none of them can disable or destroy a version (https://cloud.google.com/secret-manager/docs/access-control, read 2026-11). */
const roles = [
  ["read", "roles/secretmanager.secretAccessor"],
  ["list", "roles/secretmanager.viewer"],
  ["add", "roles/secretmanager.secretVersionAdder"],
] as const;

/** @returns what must be there before the proxy starts. */
export function makePepper(
  name: string,
  { project, secretId, member, deleteProtection, labels }: PepperArgs,
  opts: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const secret = new secretmanager.Secret(
    `${name}-pepper`,
    { project, secretId, replication: { auto: {} }, labels, deletionProtection: deleteProtection },
    { ...opts, protect: deleteProtection },
  );
  const { parent } = opts;
  return roles.map(
    ([act, role]) =>
      new secretmanager.SecretIamMember(
        `${name}-pepper-${act}`,
        { project, secretId: secret.secretId, role, member },
        { parent },
      ),
  );
}
