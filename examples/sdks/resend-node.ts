import { Resend } from "resend";

const {
  KEYBRAKE_URL = "",
  KEYBRAKE_VAULT_KEY = "",
  CLOUD_RUN_TASK_INDEX = "0",
  CLOUD_RUN_TASK_ATTEMPT = "0",
} = process.env;
const baseUrl = `${KEYBRAKE_URL}/resend`; // or RESEND_BASE_URL in the environment
const resend = new Resend(`${KEYBRAKE_VAULT_KEY}~${CLOUD_RUN_TASK_INDEX}~${CLOUD_RUN_TASK_ATTEMPT}`, { baseUrl });

const { data, error } = await resend.emails.send({
  from: "billing@example.com",
  to: "customer@example.com",
  subject: "Your invoice",
  text: "Thank you.",
});
if (data) console.log("created", data.id);
else if (error.message.startsWith("cap_exhausted:")) console.log("the run's budget is used up");
else throw new Error(error.message);
