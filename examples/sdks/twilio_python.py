import os

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

key, task, attempt = (
    os.environ["KEYBRAKE_VAULT_KEY"],
    os.environ.get("CLOUD_RUN_TASK_INDEX", "0"),
    os.environ.get("CLOUD_RUN_TASK_ATTEMPT", "0"),
)


class ThroughKeybrake(TwilioHttpClient):
    """Every address is rewritten, because Twilio's links to next pages are absolute."""

    def request(self, method, url, *args, **kwargs):
        there = url.replace("https://api.twilio.com", os.environ["KEYBRAKE_URL"] + "/twilio")
        return super().request(method, there, *args, **kwargs)


client = Client(os.environ["TWILIO_ACCOUNT_SID"], f"{key}~{task}~{attempt}", http_client=ThroughKeybrake())

try:
    message = client.messages.create(
        from_=os.environ["TWILIO_FROM"], to=os.environ["TWILIO_TO"], body="Your invoice is ready."
    )
    print("created", message.sid)
except TwilioRestException as error:
    if error.details.get("reason") != "cap_exhausted":
        raise
    print("the run's budget is used up")
