"""The proxy and one capped job, every night."""

import pulumi
import pulumi_keybrake_gcp as keybrake_gcp

config = pulumi.Config()

keybrake = keybrake_gcp.KeybrakeProxy(
    "keybrake",
    location=config.get("location") or "us-central1",
    vendors=[{"id": "stripe"}, {"id": "twilio"}],
)

billing = keybrake_gcp.BudgetedJob(
    "billing",
    proxy=keybrake.reference,
    image=config.require("image"),
    command=["python", "agent.py"],
    tasks=500,
    parallelism=50,
    max_retries=3,
    budget={
        "usd_cap": 2000,
        "vendors": ["stripe"],
        "allowed_endpoints": ["POST /v1/payment_intents"],
        "expires_in": "2h",
    },
    schedule={"cron": "0 2 * * *", "time_zone": "Europe/Berlin"},
)

pulumi.export("url", keybrake.url)
pulumi.export("launchUrl", billing.launch_url)
