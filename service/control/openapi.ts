/** OpenAPI 3.1 of the control plane, made from the routes and their schemas: there is no second description to keep in step. */
import { z } from "zod";
import { type Code, catalogue } from "../errors.ts";
import type { AnswerShape, Route } from "./route.ts";
import { routes } from "./routes.ts";
import { errorShape } from "./schemas.ts";

type JsonSchema = Record<string, unknown>;

const dialect = { target: "draft-2020-12", unrepresentable: "any" } as const;

/** Answers that any route may give, and those that only routes behind a credential give. */
const everywhere: readonly Code[] = ["request_invalid", "media_type_unsupported", "ledger_unavailable", "overloaded"];
const withCredential: readonly Code[] = ["unauthenticated", "policy_denied", "body_too_large"];

let made: JsonSchema | null = null;

export function openapi(): JsonSchema {
  made ??= describe();
  return made;
}

function describe(): JsonSchema {
  const schemas: JsonSchema = {};
  const paths: Record<string, JsonSchema> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route, schemas) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Keybrake control plane",
      version: "0.1.0",
      description:
        "Issue, watch and stop vault keys. Money is a decimal string of dollars (`…_usd`) and an integer of micro-USD (`…_micros`) side by side.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    security: [{ adminKey: [] }],
    paths,
    components: {
      securitySchemes: {
        adminKey: {
          type: "http",
          scheme: "bearer",
          description:
            "The proxy's admin key, an issuer key, or a Google-signed ID token of an account that a policy lists.",
        },
      },
      schemas,
    },
  };
}

function operation(route: Route, schemas: JsonSchema): JsonSchema {
  const body = toSchema(route.body, "input", schemas);
  const takesBody = Object.keys((body.properties as JsonSchema | undefined) ?? {}).length > 0;
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.may === null && { security: [] }),
    parameters: [...pathParameters(route.path), ...queryParameters(route, schemas)],
    ...(takesBody && {
      requestBody: { required: !route.bodyOptional, content: { "application/json": { schema: body } } },
    }),
    responses: { ...answers(route, schemas), ...refusals(route, schemas) },
  };
}

function pathParameters(path: string): JsonSchema[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string", pattern: "^[A-Za-z0-9_-]{1,128}$" },
  }));
}

function queryParameters(route: Route, schemas: JsonSchema): JsonSchema[] {
  const { properties } = toSchema(route.query, "input", schemas) as { properties?: Record<string, JsonSchema> };
  return Object.entries(properties ?? {}).map(([name, { description, ...schema }]) => ({
    name,
    in: "query",
    required: false,
    ...(description !== undefined && { description }),
    schema,
  }));
}

function answers(route: Route, schemas: JsonSchema): JsonSchema {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, answer]) => [
      status,
      { description: answer.description, content: contents(answer, schemas) },
    ]),
  );
}

function contents(answer: AnswerShape, schemas: JsonSchema): JsonSchema {
  const content: JsonSchema = { "application/json": { schema: toSchema(answer.schema, "output", schemas) } };
  for (const [type, line] of Object.entries(answer.also ?? {})) {
    // OpenAPI 3.1 has no schema for one item of a stream (3.2 does, as `itemSchema`).
    content[type] = {
      schema: { type: "string" },
      ...(line && { "x-line-schema": toSchema(line, "output", schemas) }),
    };
  }
  return content;
}

function refusals(route: Route, schemas: JsonSchema): JsonSchema {
  const codes = [...everywhere, ...(route.may === null ? [] : withCredential), ...route.codes];
  const byStatus = new Map<number, Code[]>();
  for (const code of codes)
    byStatus.set(catalogue[code].status, [...(byStatus.get(catalogue[code].status) ?? []), code]);
  if (route.answers[200]) byStatus.set(406, ["media_type_unsupported"]);
  const schema = toSchema(errorShape, "output", schemas);
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${catalogue[code].meaning}`).join(" "),
        headers: { "x-keybrake-code": { schema: { type: "string", enum: list } } },
        content: {
          "application/json": { schema: { allOf: [schema, { properties: { code: { enum: list } } }] } },
        },
      },
    ]),
  );
}

/** The JSON schema of a zod schema; those with an id are kept once, in `components`, and referred to. */
function toSchema(schema: z.ZodType, io: "input" | "output", schemas: JsonSchema): JsonSchema {
  const {
    $defs,
    $schema: _dialect,
    ...root
  } = z.toJSONSchema(schema, { ...dialect, io, reused: "inline" }) as JsonSchema & { $defs?: JsonSchema };
  const moved = (value: unknown): unknown =>
    JSON.parse(JSON.stringify(value).replaceAll('"#/$defs/', '"#/components/schemas/'));
  for (const [name, definition] of Object.entries($defs ?? {})) schemas[name] = moved(definition);
  const { id } = root as { id?: string };
  if (id === undefined) return moved(root) as JsonSchema;
  schemas[id] = moved(root);
  return { $ref: `#/components/schemas/${id}` };
}
