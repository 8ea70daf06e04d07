import os

import stripe

key, task, attempt = (
    os.environ["KEYBRAKE_VAULT_KEY"],
    os.environ.get("CLOUD_RUN_TASK_INDEX", "0"),
    os.environ.get("CLOUD_RUN_TASK_ATTEMPT", "0"),
)
stripe.api_key = f"{key}~{task}~{attempt}"
stripe.api_base = os.environ["KEYBRAKE_URL"] + "/stripe"

try:
    intent = stripe.PaymentIntent.create(amount=4000, currency="usd")
    print("created", intent.id)
except stripe.RateLimitError as error:
    # `error.code` is None for a 429; the code is in the error's body.
    if error.error is None or error.error.code != "cap_exhausted":
        raise
    print("the run's budget is used up")
