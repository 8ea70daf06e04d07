/** Writes service/policies/policy.schema.json where it differs: a part of `npm run docs`. */
import { readFileSync, writeFileSync } from "node:fs";
import { policyJsonSchema } from "../../service/policies/policy-json-schema.ts";

const path = new URL("../../service/policies/policy.schema.json", import.meta.url);
const text = `${JSON.stringify(policyJsonSchema(), null, 2)}\n`;
let before = "";
try {
  before = readFileSync(path, "utf8");
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
}
const same = before !== "" && JSON.stringify(JSON.parse(before)) === JSON.stringify(JSON.parse(text));
if (!same) writeFileSync(path, text);
console.log(`policy.schema.json is ${same ? "up to date" : "written; now run `npm run format`"}.`);
