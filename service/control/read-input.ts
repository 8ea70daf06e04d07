/** Query and body of a request, read strictly: what is unknown, doubled or of another form is refused, naming the fix. */
import { z } from "zod";
import { Refusal } from "../errors.ts";
import { nearest } from "../nearest.ts";
import { parseJson } from "../vendors/codec/json.ts";
import { strictText } from "../vendors/codec/limits.ts";

/** Largest body of the control plane, bytes. */
export const MAX_BODY_BYTES = 64 * 1024;

/** What a path may name. */
export const idShape = /^[A-Za-z0-9_-]{1,128}$/;

export const noQuery = z.strictObject({});
export const noBody = z.strictObject({});

/** Throws `request_invalid` with one sentence about the first thing that is wrong. */
function check<Schema extends z.ZodType>(schema: Schema, value: unknown, what: string): z.output<Schema> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  // A misspelt name comes first: what it leaves missing is only what follows from it.
  const { issues } = result.error;
  const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
  const field = issue.path.join(".");
  if (issue.code === "unrecognized_keys") {
    const name = issue.keys[0] ?? "";
    const names = fieldNames(schema, issue.path);
    const near = nearest(name, names);
    const fix =
      names.length === 0
        ? `${what} takes no fields here`
        : near
          ? `did you mean \`${near}\`?`
          : `the fields are ${names.map((n) => `\`${n}\``).join(", ")}`;
    const full = field === "" ? name : `${field}.${name}`;
    throw new Refusal("request_invalid", `${what} has no field \`${full.slice(0, 100)}\`; ${fix}`, {
      details: { field: full.slice(0, 100) },
    });
  }
  const subject = field === "" ? what : `\`${field}\``;
  const text = issue.code === "invalid_type" ? mustBe(issue) : issue.message;
  const missing = issue.code === "invalid_type" && /received undefined$/.test(issue.message);
  throw new Refusal("request_invalid", missing ? `${subject} is missing; it ${text}` : `${subject} ${text}`, {
    details: field === "" ? {} : { field },
  });
}

const kinds: Record<string, string> = { string: "a string", array: "a list", object: "a JSON object" };

/** The schema's own sentence, where it has one; else the kind of value that is taken. */
function mustBe({ expected, message }: z.core.$ZodIssueInvalidType): string {
  return message.startsWith("Invalid input") ? `must be ${kinds[expected] ?? expected}` : message;
}

/** Names of the fields at a place of the schema: read from its JSON schema, so that wrapped schemas need no unwrapping. */
function fieldNames(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let node: unknown = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  const property = (from: unknown, name: string): unknown =>
    typeof from === "object" && from !== null ? (from as Record<string, unknown>)[name] : undefined;
  for (const step of path) node = property(property(node, "properties"), String(step));
  return Object.keys(property(node, "properties") ?? {});
}

export function readQuery<Schema extends z.ZodType>(schema: Schema, url: string): z.output<Schema> {
  const at = url.indexOf("?");
  const values: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of new URLSearchParams(at < 0 ? "" : url.slice(at + 1))) {
    if (Object.hasOwn(values, name)) {
      throw new Refusal("request_invalid", `the query names \`${name.slice(0, 100)}\` twice; send it once`);
    }
    values[name] = value;
  }
  return check(schema, { ...values }, "the query");
}

/** @param bytes Body as received; empty when there was none. */
export function readBody<Schema extends z.ZodType>(
  schema: Schema,
  bytes: Buffer,
  contentType: string | undefined,
  optional: boolean,
): z.output<Schema> {
  if (bytes.length === 0) {
    if (optional) return check(schema, {}, "the body");
    throw new Refusal("request_invalid", "the body is missing; send a JSON object");
  }
  if (!/^application\/json(?:\s*;\s*charset="?utf-8"?)?\s*$/i.test(contentType ?? "")) {
    throw new Refusal("media_type_unsupported", "send the body as `content-type: application/json` in UTF-8");
  }
  return check(schema, parseJson(strictText(bytes)), "the body");
}
