/** Which codec reads a body: exactly one content type, UTF-8, nothing else. */
import { Refusal } from "../../errors.ts";

export type MediaType = "form" | "json";

const SHAPE = /^(application\/json|application\/x-www-form-urlencoded)(?:\s*;\s*charset\s*=\s*(?:utf-8|"utf-8"))?\s*$/i;

/** Throws `media_type_unsupported` for anything but one of `accepted`, spelled once. */
export function mediaType(contentType: string | null, accepted: readonly MediaType[]): MediaType {
  const match = contentType === null ? null : SHAPE.exec(contentType);
  const found = match ? (match[1]!.toLowerCase() === "application/json" ? "json" : "form") : null;
  if (found && accepted.includes(found)) return found;
  const names = accepted.map((type) => (type === "json" ? "application/json" : "application/x-www-form-urlencoded"));
  throw new Refusal("media_type_unsupported", `send the body as ${names.join(" or ")}, UTF-8`);
}
