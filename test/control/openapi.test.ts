/**
 * Goal: the description is whole and sound, and the client that checks answers against it does find what differs.
 * Method: walk the document; hand the check answers that are wrong in one place. Limit: not checked against OpenAPI's own
 * meta-schema; its schemas are compiled by ajv, its references resolved.
 */
import { describe, expect, it } from "vitest";
import { openapi } from "../../service/control/openapi.ts";
import { routes } from "../../service/control/routes.ts";
import { catalogue } from "../../service/errors.ts";
import { type ControlAnswer, checkAnswer } from "../support/control-client.ts";

type Node = { [key: string]: unknown };
const description = openapi() as Node;

function* references(node: unknown): Generator<string> {
  if (typeof node !== "object" || node === null) return;
  for (const [name, value] of Object.entries(node)) {
    if (name === "$ref") yield String(value);
    else yield* references(value);
  }
}

function answerOf(status: number, json: Node, headers: Record<string, string> = {}): ControlAnswer {
  return {
    status,
    json,
    text: JSON.stringify(json),
    headers: new Headers({ "content-type": "application/json", ...headers }),
  };
}

describe("the description", () => {
  it("has every route once, each with its own operationId", () => {
    const paths = description.paths as Record<string, Node>;
    const listed = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(listed.sort()).toEqual(routes.map(({ method, path }) => `${method} ${path}`).sort());
    expect(new Set(routes.map(({ operationId }) => operationId)).size).toBe(routes.length);
  });

  it("has no reference that leads nowhere", () => {
    const found = [...references(description)];
    expect(found.length).toBeGreaterThan(50);
    for (const reference of new Set(found)) {
      const target = reference
        .replace(/^#\//, "")
        .split("/")
        .reduce<unknown>((node, step) => (node as Node | undefined)?.[step], description);
      expect(target, reference).toBeTypeOf("object");
    }
  });

  it("asks for the admin key everywhere but at health and itself", () => {
    const paths = description.paths as Record<string, Record<string, Node>>;
    const open = Object.entries(paths).filter(([, methods]) =>
      Object.values(methods).some((operation) => operation.security),
    );
    expect(open.map(([path]) => path).sort()).toEqual(["/health", "/openapi.json"]);
    expect(description.security).toEqual([{ adminKey: [] }]);
  });

  it("names every code of the catalogue in its error", () => {
    const { Error: error } = (description.components as { schemas: Record<string, Node> }).schemas;
    const { code } = error!.properties as { code: { enum: string[] } };
    expect(code.enum.sort()).toEqual(Object.keys(catalogue).sort());
  });
});

describe("the check of an answer", () => {
  const refusal = { code: "not_found", message: "not_found: there is no such route" };

  it("takes what is described", () => {
    checkAnswer("GET", "/health", answerOf(200, { status: "ok" }));
    checkAnswer("GET", "/nothing", answerOf(404, refusal, { "x-keybrake-code": "not_found" }));
  });

  it.each<[string, string, string, ControlAnswer]>([
    ["a field too many", "GET", "/health", answerOf(200, { status: "ok", more: 1 })],
    ["a field missing", "GET", "/vault/keys", answerOf(200, { keys: [] })],
    ["a status that is not described", "GET", "/health", answerOf(201, { status: "ok" })],
    [
      "a media type that is not described",
      "GET",
      "/health",
      answerOf(200, { status: "ok" }, { "content-type": "text/html" }),
    ],
    ["success where no route is", "GET", "/nothing", answerOf(200, {})],
    ["a refusal without its header", "GET", "/nothing", answerOf(404, refusal)],
    [
      "a code outside the catalogue",
      "GET",
      "/nothing",
      answerOf(404, { ...refusal, code: "nope" }, { "x-keybrake-code": "nope" }),
    ],
    [
      "a message without its code",
      "GET",
      "/nothing",
      answerOf(404, { ...refusal, message: "no" }, { "x-keybrake-code": "not_found" }),
    ],
    [
      "a code that the status does not have",
      "GET",
      "/vault/keys/abc",
      answerOf(404, { code: "overloaded", message: "overloaded: x" }, { "x-keybrake-code": "overloaded" }),
    ],
  ])("finds %s", (_what, method, target, answer) => {
    expect(() => checkAnswer(method, target, answer)).toThrow();
  });
});
