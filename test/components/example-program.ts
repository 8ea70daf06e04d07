/** The program of the README, with a second job that claims its keys and an issuer for callers outside Google Cloud. */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BudgetedJob, KeybrakeProxy, KeyIssuer, SetupMode } from "keybrake-gcp";

/** Stands for the bundled service: the same bytes in each run, so that its object has the same name. */
export const archive = join(mkdtempSync(join(tmpdir(), "keybrake-components-")), "service.tar.gz");
writeFileSync(archive, "an archive");

export const proxyArgs = {
  location: "us-central1",
  vendors: [{ id: "stripe" }, { id: "twilio", secret: "twilio-main" }],
  sourceArchive: archive,
};

export const billingArgs = {
  image: "us-docker.pkg.dev/my-project/images/billing-agent",
  command: ["python", "agent.py"],
  tasks: 500,
  parallelism: 50,
  maxRetries: 3,
  budget: { usdCap: 2000, vendors: ["stripe"], allowedEndpoints: ["POST /v1/payment_intents"], expiresIn: "2h" },
  schedule: { cron: "0 2 * * *", timeZone: "Europe/Berlin" },
};

export function exampleProgram() {
  const keybrake = new KeybrakeProxy("keybrake", {
    ...proxyArgs,
    administrators: [{ email: "ops@my-project.iam.gserviceaccount.com" }],
    notificationChannels: ["projects/my-project/notificationChannels/1"],
    enableApis: true,
  });
  const proxy = keybrake.reference;
  const billing = new BudgetedJob("billing", { proxy, ...billingArgs });
  const texts = new BudgetedJob("texts", {
    proxy,
    containers: [
      {
        name: "agent",
        image: "us-docker.pkg.dev/my-project/images/texts",
        command: ["keybrake", "exec", "--", "node", "agent.js"],
        env: [
          { name: "TEXTS_MODE", value: "reminders" },
          { name: "TEXTS_DATABASE_PASSWORD", secret: "texts-database" },
        ],
        dependsOn: ["cache"],
      },
      { name: "cache", image: "redis:8", memory: "256Mi", startupProbe: { port: 6379 } },
    ],
    budget: {
      usdCap: 20,
      issuedUsdPerDay: 100,
      vendors: ["stripe", "twilio"],
      allowedEndpoints: [
        "twilio:POST /2010-04-01/Accounts/{AccountSid}/Messages.json",
        "stripe:GET /v1/customers/{customer}",
      ],
      limits: { perCallUsd: 0.5, maxCalls: 1000 },
    },
    setup: SetupMode.Claim,
    volumes: [
      { name: "scratch", mountPath: "/scratch", memory: "64Mi" },
      { name: "inbox", mountPath: "/inbox", bucket: "my-inbox", readOnly: true },
    ],
    vpc: { subnetwork: "default" },
    labels: { team: "care" },
  });
  const issuer = new KeyIssuer("trigger-dev", {
    proxy,
    labelPrefix: "trigger/",
    budget: {
      usdCap: 50,
      issuedUsdPerDay: 500,
      vendors: ["stripe"],
      allowedEndpoints: ["POST /v1/payment_intents"],
      expiresIn: "1h",
    },
  });
  return { keybrake, billing, texts, issuer };
}
