import type * as pulumi from "@pulumi/pulumi";

/** Bounds of single calls and of how many there may be. */
export interface JobLimits {
  /** Most that one call may cost, US dollars. */
  perCallUsd?: pulumi.Input<number>;
  /** Calls in any minute. */
  callsPerMinute?: pulumi.Input<number>;
  /** Calls in the key's life. */
  maxCalls?: pulumi.Input<number>;
  /** Calls at one time. */
  concurrency?: pulumi.Input<number>;
  /** What to reserve for a call that cannot be priced, US dollars. Default: such a call is refused. */
  assumeUsd?: pulumi.Input<number>;
}

/** What one key may do: that of one execution of a job, or one that an issuer makes. */
export interface JobBudget {
  /** Most that all calls together may cost, US dollars, in whole cents: `2000`, `0.5`. */
  usdCap: pulumi.Input<number>;
  /** Vendors of the proxy that the key is for. */
  vendors: string[];
  /** Operations that are allowed: `POST /v1/payment_intents`; with several vendors `stripe:POST /v1/payment_intents`. */
  allowedEndpoints: pulumi.Input<pulumi.Input<string>[]>;
  /**
   * The key's life, up to 30 days: `90s`, `5m`, `2h`, `30d`. Default for a job: what all its tasks take if each runs into its timeout at
   * each retry. An issuer must say it.
   */
  expiresIn?: pulumi.Input<string>;
  /** Most that one UTC day may cost, US dollars; for a life over 24 h. */
  dailyUsdCap?: pulumi.Input<number>;
  /** Most that the caps of all keys issued in one UTC day may add up to, US dollars. Default: not bounded. */
  issuedUsdPerDay?: pulumi.Input<number>;
  /** Further bounds. */
  limits?: JobLimits;
  /** Accounts of the vendor that calls may be made in, such as a Stripe connected account or a Twilio `AC…`. */
  accounts?: pulumi.Input<pulumi.Input<string>[]>;
}

/** Which of a job's traffic goes through the VPC. */
export enum JobEgress {
  /** All of it. */
  AllTraffic = "ALL_TRAFFIC",
  /** What goes to private addresses. */
  PrivateRangesOnly = "PRIVATE_RANGES_ONLY",
}
