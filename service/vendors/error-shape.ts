/** A refusal in the vendor's own error shape: a JSON template whose `$names` stand for values. */
import { catalogue, type Refusal } from "../errors.ts";
import type { Connector } from "./connector.ts";
import type { Json } from "./vendor.ts";

type Errors = NonNullable<Connector["errors"]>;

/** For connectors that state none. */
const PLAIN: Errors = {
  body: {
    code: "$code",
    message: "$message",
    error: { code: "$code", message: "$message", status: "$status" },
    details: "$details",
  },
  maps: {},
};

/** Throws an `Error` when the template names a value that does not exist. */
export function errorShape(connector: Connector): (refusal: Refusal) => { contentType: string; body: string } {
  const errors = connector.errors ?? PLAIN;
  checkNames(errors, connector.id);
  return (refusal) => ({
    contentType: "application/json",
    body: JSON.stringify(fill(errors.body as Json, values(errors, refusal))),
  });
}

function values(errors: Errors, refusal: Refusal): Record<string, Json> {
  const all: Record<string, Json> = {
    code: refusal.code,
    message: refusal.message,
    status: refusal.status,
    details: { ...(refusal.details as Record<string, Json>), reason: refusal.code },
  };
  for (const [name, map] of Object.entries(errors.maps)) {
    all[name] = map.values[String(map.by === "status" ? refusal.status : refusal.code)] ?? map.default;
  }
  return all;
}

function fill(template: Json, all: Record<string, Json>): Json {
  if (typeof template === "string") return template.startsWith("$") ? (all[template.slice(1)] ?? null) : template;
  if (template === null || typeof template !== "object") return template;
  if (Array.isArray(template)) return template.map((item) => fill(item, all));
  return Object.fromEntries(Object.entries(template).map(([key, value]) => [key, fill(value, all)]));
}

function checkNames(errors: Errors, id: string): void {
  const known = new Set(["code", "message", "status", "details", ...Object.keys(errors.maps)]);
  const visit = (template: Json): void => {
    if (typeof template === "string" && template.startsWith("$") && !known.has(template.slice(1))) {
      throw new Error(
        `${id}.errors.body: \`${template}\` is none of ${[...known].map((name) => `$${name}`).join(", ")}`,
      );
    }
    if (template !== null && typeof template === "object") Object.values(template).forEach(visit);
  };
  visit(errors.body as Json);
  for (const [name, map] of Object.entries(errors.maps)) {
    for (const code of map.by === "code" ? Object.keys(map.values) : []) {
      if (!Object.hasOwn(catalogue, code))
        throw new Error(`${id}.errors.maps.${name}: \`${code}\` is no code of the catalogue`);
    }
  }
}
