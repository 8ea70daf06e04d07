/**
 * Keybrake on Google Cloud, as Pulumi components: the proxy, jobs with a budget, the secrets of vendors, and policies for callers
 * outside Google Cloud.
 */
export { type JobBudget, JobEgress, type JobLimits } from "./budget-args";
export { BudgetedJob } from "./budgeted-job";
export {
  type BudgetedJobArgs,
  type JobContainer,
  type JobSchedule,
  type JobStartupProbe,
  type JobVariable,
  type JobVolume,
  type JobVpc,
  SetupMode,
} from "./budgeted-job-args";
export { KeyIssuer, type KeyIssuerArgs } from "./key-issuer";
export { KeybrakeProxy } from "./proxy";
export { type Administrator, type KeybrakeProxyArgs, ProxyIngress, type ProxyVendor } from "./proxy-args";
export type { ProxyReference } from "./reference";
export { VendorSecret, type VendorSecretArgs } from "./vendor-secret";
