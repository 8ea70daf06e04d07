/** One proxy, from the stack's configuration: `pulumi config set --path 'vendors[0]' stripe && pulumi up`. */
import { readFileSync } from "node:fs";
import { KeybrakeProxy } from "keybrake-gcp";
import { listOf, numberOf, textOf, yesOrNo } from "./stack-config.ts";

const channels = listOf("notificationChannels", [], "projects/my-project/notificationChannels/123");
const connectors = textOf("connectors", "");

const keybrake = new KeybrakeProxy("keybrake", {
  location: textOf("location", "us-central1"),
  vendors: listOf("vendors", ["stripe"], "stripe").map((entry) => {
    const [id = "", secret] = entry.split("=", 2);
    return secret === undefined ? { id } : { id, secret };
  }),
  administrators: listOf("administrators", [], "ops@my-project.iam.gserviceaccount.com").map((email) => ({ email })),
  minInstances: numberOf("minInstances", 1),
  deleteProtection: yesOrNo("deleteProtection", true),
  enableApis: yesOrNo("enableApis", true),
  ...(channels.length > 0 && { notificationChannels: channels }),
  ...(connectors !== "" && { connectors: readFileSync(new URL(`../${connectors}`, import.meta.url), "utf8") }),
});

export const { url, audience, database, serviceAccountEmail, reference } = keybrake;
