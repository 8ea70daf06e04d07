/** JSON schema of a policy as it is written, for editors and for who generates policies. `policy.schema.json` holds it. */
import { z } from "zod";
import { policySchema } from "./policy.ts";

/** What a schema cannot say is checked when a policy is used: `policy-rules.ts`. */
export function policyJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(policySchema, { io: "input", target: "draft-2020-12", unrepresentable: "any" });
  return { title: "Keybrake policy", ...schema };
}
