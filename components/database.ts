/** The ledger's database: its modes, and exactly the indexes and time limits that the service's own file lists. */
import * as firestore from "@pulumi/gcp/firestore";
import type * as pulumi from "@pulumi/pulumi";
import { firestoreIndexes } from "./service-rules";

export interface DatabaseArgs {
  project: pulumi.Input<string>;
  databaseId: string;
  location: string;
  deleteProtection: boolean;
  pointInTimeRecovery: boolean;
}

export function makeDatabase(
  name: string,
  { project, databaseId, location, deleteProtection, pointInTimeRecovery }: DatabaseArgs,
  opts: pulumi.CustomResourceOptions,
): firestore.Database {
  return new firestore.Database(
    `${name}-ledger`,
    {
      project,
      name: databaseId,
      locationId: location,
      type: "FIRESTORE_NATIVE",
      databaseEdition: "STANDARD",
      // Every commit names the version that it was made from and is tried again when another was faster: a lock would only make it wait.
      concurrencyMode: "OPTIMISTIC",
      appEngineIntegrationMode: "DISABLED",
      pointInTimeRecoveryEnablement: pointInTimeRecovery
        ? "POINT_IN_TIME_RECOVERY_ENABLED"
        : "POINT_IN_TIME_RECOVERY_DISABLED",
      deleteProtectionState: deleteProtection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED",
      // The default, ABANDON, would leave a database that the next `up` cannot make again.
      deletionPolicy: deleteProtection ? "PREVENT" : "DELETE",
    },
    // Refused while it is planned: nothing else is deleted first.
    { ...opts, protect: deleteProtection },
  );
}

/**
 * Changes that are sent at one time are answered 409 (https://github.com/firebase/firebase-tools/issues/1119, read 2026-11), so each waits
 * until the one before it was taken; none waits until it is done, which takes minutes each. The last index is waited for: those before it
 * are about ready then, and the proxy finds them.
 */
export function makeIndexes(
  name: string,
  database: firestore.Database,
  opts: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const made: pulumi.Resource[] = [];
  const after = () => ({ ...opts, dependsOn: made.slice(-1) });
  const place = { project: database.project, database: database.name };
  for (const { collectionGroup, fieldPath, ttl, indexes } of firestoreIndexes.fieldOverrides) {
    const field = { ...place, collection: collectionGroup, field: fieldPath, indexConfig: { indexes }, skipWait: true };
    const args = ttl ? { ...field, ttlConfig: {} } : field;
    made.push(new firestore.Field(`${name}-field-${collectionGroup}-${fieldPath}`, args, after()));
  }
  for (const [at, { collectionGroup, queryScope, fields }] of firestoreIndexes.indexes.entries()) {
    const key = fields.map(
      ({ fieldPath, order, arrayConfig }) => `${fieldPath}-${(order ?? arrayConfig ?? "").slice(0, 3).toLowerCase()}`,
    );
    const skipWait = at < firestoreIndexes.indexes.length - 1;
    const index = { ...place, collection: collectionGroup, queryScope, fields, skipWait };
    made.push(new firestore.Index(`${name}-index-${collectionGroup}-${key.join("-")}`, index, after()));
  }
  return made;
}
