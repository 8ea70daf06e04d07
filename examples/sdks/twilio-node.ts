import twilio from "twilio";

const {
  KEYBRAKE_URL = "",
  KEYBRAKE_VAULT_KEY = "",
  CLOUD_RUN_TASK_INDEX = "0",
  CLOUD_RUN_TASK_ATTEMPT = "0",
} = process.env;
const { TWILIO_ACCOUNT_SID = "", TWILIO_FROM = "", TWILIO_TO = "" } = process.env;

// Every address is rewritten: Twilio's links to next pages are absolute.
const httpClient = new twilio.RequestClient();
const request = httpClient.request.bind(httpClient);
httpClient.request = (options) =>
  request({ ...options, uri: options.uri.replace("https://api.twilio.com", `${KEYBRAKE_URL}/twilio`) });

const vaultKey = `${KEYBRAKE_VAULT_KEY}~${CLOUD_RUN_TASK_INDEX}~${CLOUD_RUN_TASK_ATTEMPT}`;
const client = twilio(TWILIO_ACCOUNT_SID, vaultKey, { httpClient });

try {
  const message = await client.messages.create({ from: TWILIO_FROM, to: TWILIO_TO, body: "Your invoice is ready." });
  console.log("created", message.sid);
} catch (error) {
  const details: { reason?: string } | undefined = error instanceof twilio.RestException ? error.details : undefined;
  if (details?.reason !== "cap_exhausted") throw error;
  console.log("the run's budget is used up");
}
