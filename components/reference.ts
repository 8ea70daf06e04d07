import type * as pulumi from "@pulumi/pulumi";

/**
 * What a job or an issuer needs to know of a proxy: `reference` of a `KeybrakeProxy`, or the same facts from another program
 * (`new pulumi.StackReference("org/keybrake/prod").requireOutput("reference")`).
 */
export interface ProxyReference {
  /** Where the proxy answers: `https://keybrake-….run.app`. */
  url: pulumi.Input<string>;
  /** Audience of the ID tokens that it takes: `keybrake/PROJECT/LOCATION/NAME`. */
  audience: pulumi.Input<string>;
  /** Id of its Firestore database, which holds the policies. */
  database: pulumi.Input<string>;
  /** Id of its project: jobs are made there. */
  project: pulumi.Input<string>;
  /** Its region, such as `us-central1`: jobs are made there. */
  location: pulumi.Input<string>;
  /** E-mail address of the account that it runs as. */
  serviceAccountEmail: pulumi.Input<string>;
  /** Ids of its vendors, such as `stripe`. */
  vendors: pulumi.Input<pulumi.Input<string>[]>;
  /** Connectors of its own, as JSON. Default: the built-in ones alone. */
  connectors?: pulumi.Input<string>;
  /** Secrets that no job may mount, `projects/PROJECT/secrets/SECRET`: its vendors' and its pepper. Default: none are known. */
  secrets?: pulumi.Input<pulumi.Input<string>[]>;
}
