import type * as pulumi from "@pulumi/pulumi";
import type { Faults } from "./faults";
import { map } from "./inputs";
import type { PlainProxyArgs } from "./plain-proxy-args";

/** What the parts of one proxy are made of. */
export interface Parts {
  name: string;
  args: PlainProxyArgs;
  project: pulumi.Input<string>;
  faults: Faults;
  parent: pulumi.Resource;
  /** What must be there before anything else. */
  apis: pulumi.Resource[];
}

export interface Secrets {
  /** Vendor's id → `projects/P/secrets/S`. */
  vendors: Record<string, pulumi.Input<string>>;
  pepper: pulumi.Input<string>;
  /** What must be there before the proxy starts. */
  ready: pulumi.Resource[];
}

export const after = ({ parent, apis }: Parts): pulumi.CustomResourceOptions => ({ parent, dependsOn: apis });

export const databaseOf = ({ name, args }: Parts): string => args.databaseName ?? name;

export const audienceOf = ({ name, args, project }: Parts): pulumi.Input<string> =>
  args.audience ?? map(project, (id) => `keybrake/${id}/${args.location}/${name}`);

/** The service's configuration: see `service/config.ts`. */
export function envOf(parts: Parts, { vendors, pepper }: Secrets): Record<string, pulumi.Input<string>> {
  const { args, project } = parts;
  const listed = args.vendors.map(({ id, upstream }) => ({
    id,
    secret: vendors[id],
    ...(upstream !== undefined && { upstream }),
  }));
  return {
    GOOGLE_CLOUD_PROJECT: project,
    KEYBRAKE_AUDIENCE: audienceOf(parts),
    ...(args.connectors !== undefined && { KEYBRAKE_CONNECTORS: args.connectors }),
    KEYBRAKE_PEPPER: pepper,
    KEYBRAKE_RETENTION_DAYS: String(args.retentionDays ?? 400),
    KEYBRAKE_STORE: map(project, (id) => `firestore:${id}/${databaseOf(parts)}`),
    KEYBRAKE_VENDORS: map(listed, (all) =>
      JSON.stringify(Object.fromEntries(all.map(({ id, ...vendor }) => [id, vendor]))),
    ),
  };
}
