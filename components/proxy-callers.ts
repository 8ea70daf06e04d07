/** Who may call the proxy's control plane, besides jobs: Scheduler for the reconciliation, and administrators. */
import type * as cloudrun from "@pulumi/gcp/cloudrunv2";
import * as cloudscheduler from "@pulumi/gcp/cloudscheduler";
import type * as firestore from "@pulumi/gcp/firestore";
import * as pulumi from "@pulumi/pulumi";
import { makeAccount } from "./account";
import { operatorPermissions } from "./check-proxy";
import { accountSuffixes } from "./names";
import { makePolicy } from "./policy-document";
import { after, audienceOf, type Parts } from "./proxy-parts";

/** Scheduler looks unknown calls up, under an account that may do nothing else: an instance may be asleep when its own time comes. */
export function makeReconciliation(parts: Parts, service: cloudrun.Service, database: firestore.Database): void {
  const { name, args, project } = parts;
  const id = `${name}${accountSuffixes.reconcile}`;
  const caller = makeAccount(id, id, project, `Looks up unknown calls of ${name}`, after(parts));
  writePolicy(parts, id, database, [{ email: caller.email, may: ["reconcile"] }]);
  new cloudscheduler.Job(
    id,
    {
      project,
      region: args.location,
      name: id,
      description: `Looks up unknown calls of ${name} at their vendors`,
      schedule: args.reconcileSchedule ?? "*/15 * * * *",
      timeZone: "Etc/UTC",
      attemptDeadline: "320s",
      retryConfig: { retryCount: 1 },
      httpTarget: {
        httpMethod: "POST",
        uri: pulumi.interpolate`${service.uri}/reconcile`,
        oidcToken: { serviceAccountEmail: caller.account.email, audience: audienceOf(parts) },
      },
    },
    after(parts),
  );
}

export function makeOperators(parts: Parts, database: firestore.Database): void {
  const { name, args } = parts;
  if (!args.administrators?.length) return;
  const principals = args.administrators.map(({ email, may }) => ({ email, may: may ?? operatorPermissions }));
  writePolicy(parts, `${name}-operators`, database, principals, "all");
}

interface Principal {
  email: pulumi.Input<string>;
  may: pulumi.Input<pulumi.Input<string>[]>;
}

function writePolicy(
  parts: Parts,
  id: string,
  database: firestore.Database,
  principals: Principal[],
  sees = "own",
): void {
  const { args, project, faults, parent } = parts;
  const policy = { version: 1, principal_ids: principals.map(({ email }) => email), principals, sees };
  const { connectors } = args;
  const vendors = args.vendors.map((vendor) => vendor.id);
  const target = { project, database: database.name, id, policy, vendors, connectors };
  makePolicy(`${id}-policy`, faults, target, { parent });
}
