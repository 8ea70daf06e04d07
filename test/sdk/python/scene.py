"""One scene of one official SDK through the proxy; prints one JSON line.

Reads its task as JSON from argv[1]: vendor, scene, url, key, account, payment, text, mail.
"""

import json
import os
import sys

task = json.loads(sys.argv[1])


def stripe_scene():
    import stripe

    stripe.api_key = task["key"]
    stripe.api_base = task["url"] + "/stripe"
    try:
        if task["scene"] == "endpoint":
            made = stripe.Customer.create(name="not allowed")
        else:
            made = stripe.PaymentIntent.create(**task["payment"])
        return {"ok": True, "id": made.id}
    except stripe.StripeError as error:
        return {
            "ok": False,
            "class": type(error).__name__,
            "status": error.http_status,
            "code": error.error.code if error.error else None,
            "message": error.user_message,
        }


def twilio_scene():
    from twilio.base.exceptions import TwilioRestException
    from twilio.http.http_client import TwilioHttpClient
    from twilio.rest import Client

    class ThroughKeybrake(TwilioHttpClient):
        def request(self, method, url, *args, **kwargs):
            there = url.replace("https://api.twilio.com", task["url"] + "/twilio")
            return super().request(method, there, *args, **kwargs)

    client = Client(task["account"], task["key"], http_client=ThroughKeybrake())
    try:
        if task["scene"] == "endpoint":
            client.messages("SM" + "0" * 32).fetch()
            return {"ok": True, "id": None}
        text = task["text"]
        made = client.messages.create(to=text["to"], from_=text["from"], body=text["body"])
        return {"ok": True, "id": made.sid}
    except TwilioRestException as error:
        return {
            "ok": False,
            "class": type(error).__name__,
            "status": error.status,
            "code": error.code,
            "message": error.msg,
            "details": error.details,
        }


def resend_scene():
    os.environ["RESEND_API_URL"] = task["url"] + "/resend"
    import resend
    from resend.exceptions import ResendError

    resend.api_key = task["key"]
    try:
        if task["scene"] == "endpoint":
            resend.Domains.list()
            return {"ok": True, "id": None}
        return {"ok": True, "id": resend.Emails.send(task["mail"])["id"]}
    except ResendError as error:
        return {
            "ok": False,
            "class": type(error).__name__,
            "status": error.code,
            "code": error.error_type,
            "message": error.message,
        }


scenes = {"stripe": stripe_scene, "twilio": twilio_scene, "resend": resend_scene}
print(json.dumps(scenes[task["vendor"]]()))
