/** Names of the demo's Google Cloud, and who is who in it. */
export const PROJECT = "local-project";
export const LOCATION = "us-central1";
export const DATABASE = "keybrake";
export const AUDIENCE = `keybrake/${PROJECT}/${LOCATION}/keybrake`;

/** The job whose executions spend, and one that has no business with them. */
export const JOB = "nightly-billing";
export const OTHER_JOB = "nightly-invoices";

const account = (name: string): string => `${name}@${PROJECT}.iam.gserviceaccount.com`;

/** One service account per job: an ID token proves the account, and with it the job. */
export const JOB_ACCOUNT = account(JOB);
export const OTHER_ACCOUNT = account(OTHER_JOB);
export const SCHEDULER_ACCOUNT = account("scheduler");
export const OPERATOR = "operator@example.com";

export const STRIPE_SECRET = `projects/${PROJECT}/secrets/stripe`;
export const PEPPER_SECRET = `projects/${PROJECT}/secrets/keybrake-pepper`;
