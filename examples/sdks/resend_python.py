import os

# Read when the package is imported.
os.environ["RESEND_API_URL"] = os.environ["KEYBRAKE_URL"] + "/resend"

import resend
from resend.exceptions import ResendError

key, task, attempt = (
    os.environ["KEYBRAKE_VAULT_KEY"],
    os.environ.get("CLOUD_RUN_TASK_INDEX", "0"),
    os.environ.get("CLOUD_RUN_TASK_ATTEMPT", "0"),
)
resend.api_key = f"{key}~{task}~{attempt}"

try:
    email = resend.Emails.send(
        {
            "from": "billing@example.com",
            "to": "customer@example.com",
            "subject": "Your invoice",
            "text": "Thank you.",
        }
    )
    print("created", email["id"])
except ResendError as error:
    if not error.message.startswith("cap_exhausted:"):
        raise
    print("the run's budget is used up")
