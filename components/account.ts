import * as serviceaccount from "@pulumi/gcp/serviceaccount";
import * as pulumi from "@pulumi/pulumi";
import { map } from "./inputs";

export interface MadeAccount {
  account: serviceaccount.Account;
  /** Known in a preview, where the account's own output is not. */
  email: pulumi.Input<string>;
  /** As IAM bindings name it; it is known when the account is there. */
  member: pulumi.Output<string>;
}

/** @param accountId 6 to 30 characters. */
export function makeAccount(
  name: string,
  accountId: string,
  project: pulumi.Input<string>,
  description: string,
  opts: pulumi.CustomResourceOptions,
): MadeAccount {
  const account = new serviceaccount.Account(name, { accountId, project, displayName: accountId, description }, opts);
  return {
    account,
    email: map(project, (id) => `${accountId}@${id}.iam.gserviceaccount.com`),
    member: pulumi.interpolate`serviceAccount:${account.email}`,
  };
}
