import * as firestore from "@pulumi/gcp/firestore";
import * as pulumi from "@pulumi/pulumi";
import type { Faults } from "./faults";
import { documentFields } from "./firestore-json";
import { map } from "./inputs";
import { openVendors } from "./service-rules";

export interface PolicyDocument {
  project: pulumi.Input<string>;
  /** Id of the proxy's database. */
  database: pulumi.Input<string>;
  id: string;
  /** As `service/policies/policy.ts` has it; what is `undefined` is left out. */
  policy: pulumi.Input<object>;
  vendors: pulumi.Input<pulumi.Input<string>[]>;
  connectors: pulumi.Input<string> | undefined;
}

/**
 * A policy as a document that the proxy reads at each use: a change redeploys nothing. The proxy's own reader checks it first, so that what
 * it would refuse stops the preview.
 */
export function makePolicy(
  name: string,
  faults: Faults,
  { project, database, id, policy, vendors, connectors }: PolicyDocument,
  opts: pulumi.CustomResourceOptions,
): firestore.Document {
  const fields = map({ policy, vendors, connectors }, (known) => {
    const read = known as { policy: object; vendors: string[]; connectors?: string };
    const json = JSON.parse(JSON.stringify(read.policy)) as object;
    const fault = openVendors(read.connectors ?? null).policyFault(id, json, read.vendors);
    if (fault !== null) {
      throw new pulumi.RunError(
        `${faults.component} "${faults.name}": the proxy would refuse the policy \`${id}\`: ${fault}.`,
      );
    }
    return JSON.stringify(documentFields(json));
  });
  return new firestore.Document(name, { project, database, collection: "policies", documentId: id, fields }, opts);
}
