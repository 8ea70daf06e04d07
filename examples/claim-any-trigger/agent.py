"""An agent of somebody else: it knows Resend and its own environment, and nothing of the proxy. One mail for each task."""

import json
import os
import urllib.request

request = urllib.request.Request(
    os.environ["RESEND_API_URL"] + "/emails",
    method="POST",
    headers={"Authorization": f"Bearer {os.environ['RESEND_API_KEY']}", "Content-Type": "application/json"},
    data=json.dumps(
        {
            "from": "reports@example.com",
            "to": [f"team{os.environ['CLOUD_RUN_TASK_INDEX']}@example.com"],
            "subject": "The report is ready",
            "text": "Thank you for waiting.",
        }
    ).encode(),
)
with urllib.request.urlopen(request, timeout=60) as response:
    print("sent", json.load(response)["id"])
