import type * as pulumi from "@pulumi/pulumi";

/** Who may send requests to the proxy's address. */
export enum ProxyIngress {
  /** Everybody; the proxy itself checks each request's credential. */
  All = "all",
  /** The project's networks alone: jobs then need a VPC with Private Google Access, and Scheduler still reaches it. */
  Internal = "internal",
}

/** A vendor whose calls the proxy prices and sends. */
export interface ProxyVendor {
  /** Id of its connector: `stripe`, `twilio`, `resend`, or one of `connectors`. */
  id: string;
  /**
   * A secret that exists: `projects/PROJECT/secrets/SECRET`, or a short name in the proxy's project. Default: one is made, named as
   * the vendor, without a value; add it by `keybrake secrets set stripe`.
   */
  secret?: pulumi.Input<string>;
  /** Origin to send to in place of the vendor's own, such as `https://eu.example.com`. */
  upstream?: pulumi.Input<string>;
}

/** A person or service that operates the proxy. */
export interface Administrator {
  /**
   * E-mail address of the account, in lower case. `gcloud auth print-identity-token` names an audience for service accounts only, so give a
   * service account that the operators may impersonate.
   */
  email: pulumi.Input<string>;
  /**
   * What it may do, of `launch`, `read`, `revoke`, `pause`, `resume`, `raise`, `reconcile`, `decide` (settle or release an unknown call),
   * `issuers` (make issuer keys). Default: all of these but `raise` and `decide`, which no policy bounds.
   */
  may?: pulumi.Input<pulumi.Input<string>[]>;
}

export interface KeybrakeProxyArgs {
  /** Region of the service, its database, bucket and Scheduler job, such as `us-central1`. */
  location: string;
  /** Id of the project. Default: the one of the stack's configuration, `gcp:project`. */
  project?: pulumi.Input<string>;
  /** The vendors, at least one. None may be an output as a whole; its `secret` and `upstream` may. */
  vendors: pulumi.Input<ProxyVendor>[];
  /** Audience that ID tokens must carry, a fixed text. Default: `keybrake/PROJECT/LOCATION/NAME`. */
  audience?: pulumi.Input<string>;
  /** Container image of the proxy. Default: none; the bundled service runs on Google's Node runtime, without a build. */
  image?: pulumi.Input<string>;
  /** Path of another source archive (`.tar.gz` with `main.mjs`) than the package's own. Not with `image`. */
  sourceArchive?: string;
  /** CPUs of an instance, such as `1`, `2`. Default: `1`. */
  cpu?: string;
  /** Memory of an instance. Default: `1Gi`. */
  memory?: string;
  /** Instances that always run. 0 saves money, and the first call after a pause waits for a start. Default: 1. */
  minInstances?: number;
  /** Few big ones beat many: one run's key is one document that all of them write. Default: 3. */
  maxInstances?: number;
  /** Requests that one instance takes at a time, 1 to 1000. Default: 250. */
  concurrency?: number;
  /** Default: `all`. */
  ingress?: ProxyIngress;
  /** Id of the Firestore database, which is made. Default: the component's name. */
  databaseName?: string;
  /** Location of the database, which can never be changed. Default: `location`. */
  databaseLocation?: string;
  /** While true, neither the database nor the service can be deleted: money records would be lost. Default: true. */
  deleteProtection?: boolean;
  /** The database can be read as it was at any minute of the last seven days. Default: true. */
  pointInTimeRecovery?: boolean;
  /** Days that finished calls are kept after their key's end, 1 to 36500. Default: 400. */
  retentionDays?: number;
  /** Who operates the proxy, besides the jobs' own accounts. None may be an output as a whole; its fields may. Default: nobody. */
  administrators?: pulumi.Input<Administrator>[];
  /** Connectors, prices and rates of your own, as JSON text. Default: the built-in connectors. */
  connectors?: pulumi.Input<string>;
  /** When unknown calls are looked up at their vendors, in cron's form and UTC. Default: every quarter of an hour. */
  reconcileSchedule?: string;
  /** Names of notification channels for alerts (cap hit, unknown calls, cost over the reservation, 5xx). Default: no alerts are made. */
  notificationChannels?: pulumi.Input<string>[];
  /** Enables the Google APIs that the proxy and its jobs use; they stay enabled after a destroy. Default: false. */
  enableApis?: boolean;
  /** Labels of the service, the database's bucket and the secrets. */
  labels?: Record<string, string>;
}
