/** An agent of somebody else: Resend's own SDK with nothing set but its environment. One mail for each task. */
import { Resend } from "resend";

const { data, error } = await new Resend().emails.send({
  from: "reports@example.com",
  to: [`team${process.env.CLOUD_RUN_TASK_INDEX}@example.com`],
  subject: "The report is ready",
  text: "Thank you for waiting.",
});
if (error) throw new Error(error.message);
console.log("sent", data.id);
