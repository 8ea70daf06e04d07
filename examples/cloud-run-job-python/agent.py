"""One task of a Cloud Run job: bills its share of the customers with Stripe's own SDK.

STRIPE_SECRET_KEY is a vault key of this one execution: capped, expiring, revocable. The real secret is not here.
"""

import json
import os

import stripe

TASK_INDEX = int(os.environ["CLOUD_RUN_TASK_INDEX"])
TASK_COUNT = int(os.environ["CLOUD_RUN_TASK_COUNT"])
EXECUTION = os.environ["CLOUD_RUN_EXECUTION"]

# What no further attempt can change: ending with 0 keeps Cloud Run from running the task again.
ENDINGS = {"cap_exhausted": "spend cap exhausted", "key_revoked": "stopped by an operator"}

# Behind the key, the task's place lets the proxy see that attempt 1 repeats attempt 0, and answer it instead of billing
# again. A job with a `command`, and `keybrake exec`, have put it there already.
key = os.environ["STRIPE_SECRET_KEY"]
stripe.api_key = key if "~" in key else f"{key}~{TASK_INDEX}~{os.environ['CLOUD_RUN_TASK_ATTEMPT']}"
stripe.api_base = os.environ["STRIPE_API_BASE"]


def customers_of_this_task():
    with open(os.environ["BILLING_CUSTOMERS_FILE"], encoding="utf-8") as file:
        return json.load(file)[TASK_INDEX::TASK_COUNT]


for customer in customers_of_this_task():
    try:
        intent = stripe.PaymentIntent.create(
            amount=customer["amount_cents"], currency="usd", customer=customer["id"]
        )
    except stripe.StripeError as error:
        # `error.code` is None for a 429; the code is in the error's body.
        ending = ENDINGS.get(error.error.code if error.error else None)
        if ending is None:
            raise
        print(f"[{EXECUTION}] task {TASK_INDEX}: {ending}, ending cleanly")
        break
    print(f"[{EXECUTION}] task {TASK_INDEX}: billed {customer['id']} {intent.amount} as {intent.id}")
