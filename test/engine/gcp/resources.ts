/**
 * What the test's provider knows of each Google resource beyond the types: which properties cannot be changed in
 * place, what Google adds, when a delete is refused. From the resources' sources and documentation
 * (https://github.com/hashicorp/terraform-provider-google, `ForceNew`; 2026-01). A type that is not listed fails.
 */

export interface GoogleResource {
  /** Properties whose change replaces the resource; together they are its identity. */
  fixed: readonly string[];
  /** The id is given by Google: two of the same properties are two resources. */
  assigned?: true;
  /** Properties that Google adds and that other resources are wired to; the rest is made up by type. */
  adds?(inputs: Record<string, unknown>, project: string): Record<string, unknown>;
  /** Why a delete of a resource in this state is refused. */
  refusesDelete?(state: Record<string, unknown>): string | undefined;
}

/** Cloud Run's resources: the provider itself refuses, before any call; its default is `true`. */
function guarded(state: Record<string, unknown>): string | undefined {
  if (state.deletionProtection === false) return undefined;
  return "cannot destroy a Cloud Run resource without setting deletion_protection=false and running `pulumi up`";
}

/** The API refuses a protected one. */
function guardedDatabase(state: Record<string, unknown>): string | undefined {
  if (state.deleteProtectionState !== "DELETE_PROTECTION_ENABLED") return undefined;
  return "400 FAILED_PRECONDITION: the database has delete protection enabled; disable it first";
}

const regional = ["project", "location", "name"] as const;

export const googleResources: Readonly<Record<string, GoogleResource>> = {
  "gcp:cloudrunv2/job:Job": { fixed: regional, refusesDelete: guarded },
  "gcp:cloudrunv2/jobIamMember:JobIamMember": { fixed: [...regional, "role", "member", "condition"] },
  "gcp:cloudrunv2/service:Service": {
    fixed: regional,
    adds: ({ name, location }) => ({ uri: `https://${name}-0123456789.${location}.run.app` }),
    refusesDelete: guarded,
  },
  "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": { fixed: [...regional, "role", "member", "condition"] },
  "gcp:cloudscheduler/job:Job": { fixed: ["project", "region", "name"] },
  "gcp:firestore/database:Database": {
    fixed: ["project", "name", "locationId", "databaseEdition", "cmekConfig", "tags"],
    adds: ({ deletionPolicy }) => ({ deletionPolicy: deletionPolicy ?? "ABANDON" }),
    refusesDelete: guardedDatabase,
  },
  "gcp:firestore/document:Document": {
    fixed: ["project", "database", "collection", "documentId"],
    adds: ({ database, collection, documentId }, project) => {
      const path = `${collection}/${documentId}`;
      return { path, name: `projects/${project}/databases/${database}/documents/${path}` };
    },
  },
  "gcp:firestore/field:Field": { fixed: ["project", "database", "collection", "field"] },
  "gcp:firestore/index:Index": {
    fixed: ["project", "database", "collection", "queryScope", "apiScope", "fields", "density", "multikey"],
  },
  "gcp:logging/metric:Metric": { fixed: ["project", "name"] },
  "gcp:monitoring/alertPolicy:AlertPolicy": { fixed: ["project"], assigned: true },
  "gcp:projects/iAMCustomRole:IAMCustomRole": {
    fixed: ["project", "roleId"],
    adds: ({ roleId }, project) => ({ name: `projects/${project}/roles/${roleId}` }),
  },
  "gcp:projects/iAMMember:IAMMember": { fixed: ["project", "role", "member", "condition"] },
  "gcp:projects/service:Service": { fixed: ["project", "service"] },
  "gcp:secretmanager/secret:Secret": {
    fixed: ["project", "secretId", "replication"],
    adds: ({ secretId }, project) => ({ name: `projects/${project}/secrets/${secretId}` }),
    refusesDelete: ({ deletionProtection }) =>
      deletionProtection === true ? "cannot destroy secret without setting deletion_protection=false" : undefined,
  },
  "gcp:secretmanager/secretIamMember:SecretIamMember": {
    fixed: ["project", "secretId", "role", "member", "condition"],
  },
  "gcp:serviceaccount/account:Account": {
    fixed: ["project", "accountId"],
    adds: ({ accountId }, project) => {
      const email = `${accountId}@${project}.iam.gserviceaccount.com`;
      const name = `projects/${project}/serviceAccounts/${email}`;
      return { email, name, member: `serviceAccount:${email}`, uniqueId: "100000000000000000001" };
    },
  },
  "gcp:serviceaccount/iAMMember:IAMMember": { fixed: ["serviceAccountId", "role", "member", "condition"] },
  "gcp:storage/bucket:Bucket": {
    fixed: ["project", "name", "location"],
    adds: ({ name }) => ({ url: `gs://${name}` }),
  },
  "gcp:storage/bucketIAMMember:BucketIAMMember": { fixed: ["bucket", "role", "member", "condition"] },
  "gcp:storage/bucketObject:BucketObject": {
    fixed: ["bucket", "name", "source", "content", "contentType", "cacheControl"],
    adds: ({ name }) => ({ outputName: name, generation: 1 }),
  },
};
