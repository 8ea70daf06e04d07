/** The program that the engine's tests run: a proxy, a scheduled job with a budget, an issuer for callers outside. */
import type { PulumiFn } from "@pulumi/pulumi/automation/index.js";
import {
  BudgetedJob,
  type BudgetedJobArgs,
  type JobBudget,
  KeybrakeProxy,
  type KeybrakeProxyArgs,
  KeyIssuer,
} from "keybrake-gcp";

export interface Wishes {
  proxy?: Partial<KeybrakeProxyArgs>;
  job?: Partial<BudgetedJobArgs>;
  budget?: Partial<JobBudget>;
  /** Pulumi's name of the job. */
  jobNamed?: string;
  proxyNamed?: string;
}

/** @param wishes what differs from the program of the README. */
export function billing(wishes: Wishes = {}): PulumiFn {
  return async () => {
    const keybrake = new KeybrakeProxy(wishes.proxyNamed ?? "keybrake", {
      location: "us-central1",
      vendors: [{ id: "stripe" }, { id: "twilio" }],
      administrators: [{ email: "ops@my-project.iam.gserviceaccount.com" }],
      notificationChannels: ["projects/engine-test/notificationChannels/1"],
      ...wishes.proxy,
    });
    const job = new BudgetedJob(wishes.jobNamed ?? "billing", {
      proxy: keybrake.reference,
      image: "us-docker.pkg.dev/engine-test/agents/billing-agent",
      command: ["python", "agent.py"],
      tasks: 500,
      parallelism: 50,
      maxRetries: 3,
      schedule: { cron: "0 2 * * *", timeZone: "Europe/Berlin" },
      ...wishes.job,
      budget: {
        usdCap: 2000,
        vendors: ["stripe"],
        allowedEndpoints: ["POST /v1/payment_intents"],
        expiresIn: "2h",
        ...wishes.budget,
      },
    });
    new KeyIssuer("trigger", {
      proxy: keybrake.reference,
      budget: { usdCap: 50, vendors: ["stripe"], allowedEndpoints: ["POST /v1/payment_intents"], expiresIn: "1h" },
    });
    return { url: keybrake.url, jobName: job.jobName, policy: job.policy, launchUrl: job.launchUrl };
  };
}
