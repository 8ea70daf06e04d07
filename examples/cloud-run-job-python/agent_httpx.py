"""The same task without an SDK: httpx, and the vault key as the bearer.

The idempotency key is stable over attempts; the proxy's own shield does not depend on it.
"""

import json
import os

import httpx

TASK_INDEX = int(os.environ["CLOUD_RUN_TASK_INDEX"])
TASK_COUNT = int(os.environ["CLOUD_RUN_TASK_COUNT"])
EXECUTION = os.environ["CLOUD_RUN_EXECUTION"]

# What no further attempt can change: ending with 0 keeps Cloud Run from running the task again.
ENDINGS = {"cap_exhausted": "spend cap exhausted", "key_revoked": "stopped by an operator"}

key = os.environ["KEYBRAKE_VAULT_KEY"]
if "~" not in key:
    key += f"~{TASK_INDEX}~{os.environ['CLOUD_RUN_TASK_ATTEMPT']}"

with open(os.environ["BILLING_CUSTOMERS_FILE"], encoding="utf-8") as file:
    customers = json.load(file)[TASK_INDEX::TASK_COUNT]

with httpx.Client(
    base_url=os.environ["KEYBRAKE_URL"] + "/stripe",
    headers={"Authorization": f"Bearer {key}"},
    timeout=60,
) as proxy:
    for customer in customers:
        response = proxy.post(
            "/v1/payment_intents",
            headers={"Idempotency-Key": f"{EXECUTION}-{customer['id']}-{customer['amount_cents']}"},
            data={"amount": customer["amount_cents"], "currency": "usd", "customer": customer["id"]},
        )
        ending = ENDINGS.get(response.headers.get("x-keybrake-code"))
        if ending is not None:
            print(f"[{EXECUTION}] task {TASK_INDEX}: {ending}, ending cleanly")
            break
        response.raise_for_status()
        intent = response.json()
        print(f"[{EXECUTION}] task {TASK_INDEX}: billed {customer['id']} {intent['amount']} as {intent['id']}")
