import * as pulumi from "@pulumi/pulumi";
import { BudgetedJob, KeybrakeProxy, KeyIssuer, SetupMode } from "keybrake-gcp";

const config = new pulumi.Config();

const keybrake = new KeybrakeProxy("keybrake", {
  location: config.get("location") ?? "us-central1",
  vendors: [{ id: "stripe" }, { id: "resend" }],
  administrators: [{ email: config.require("operator") }],
});

// Every night: 500 tasks, 50 at a time, all of them on one key with one cap.
const billing = new BudgetedJob("billing", {
  proxy: keybrake.reference,
  image: config.require("image"),
  command: ["python", "agent.py"],
  tasks: 500,
  parallelism: 50,
  maxRetries: 3,
  budget: {
    usdCap: 2000,
    vendors: ["stripe"],
    allowedEndpoints: ["POST /v1/payment_intents"],
    expiresIn: "2h",
  },
  schedule: { cron: "0 2 * * *", timeZone: "Europe/Berlin" },
});

// Started by whatever starts it: its image's entrypoint is `keybrake exec`, which asks for the execution's key.
const reports = new BudgetedJob("reports", {
  proxy: keybrake.reference,
  image: config.require("reportsImage"),
  setup: SetupMode.Claim,
  budget: { usdCap: 5, vendors: ["resend"], allowedEndpoints: ["POST /emails"], expiresIn: "1h" },
});

// For callers outside Google Cloud. The issuer key itself is made out of band: `keybrake issuers create --policy trigger-dev`.
const triggerDev = new KeyIssuer("trigger-dev", {
  proxy: keybrake.reference,
  labelPrefix: "trigger.dev/",
  budget: {
    usdCap: 500,
    issuedUsdPerDay: 1000,
    vendors: ["stripe"],
    allowedEndpoints: ["POST /v1/payment_intents"],
    expiresIn: "2h",
  },
});

export const url = keybrake.url;
export const audience = keybrake.audience;
export const launchUrl = billing.launchUrl;
export const reportsJob = reports.jobName;
export const issuerPolicy = triggerDev.policy;
