/**
 * Goal: whatever is wrong with a request, the control plane answers JSON of the catalogue, tells nothing to who has no key, and
 * goes on serving. Method: fetch, and raw sockets where fetch would not send it. Limit: the Express app alone; what Node's server
 * refuses before it is the data plane's suite.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, type Harness, keyBody, startControl, stripe } from "./harness.ts";

let harness: Harness;

beforeAll(async () => {
  harness = await startControl([stripe]);
});
afterAll(() => harness.close());

/** Sends bytes as they are; answers what comes back until the connection ends. */
async function raw(text: string): Promise<{ status: number; body: string }> {
  const socket = connect(Number(new URL(harness.url).port), "127.0.0.1");
  socket.end(text);
  let answer = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    answer += chunk;
  });
  await once(socket, "close");
  return { status: Number(answer.split(" ")[1]), body: answer.slice(answer.indexOf("\r\n\r\n") + 4) };
}

const authorization = `authorization: Bearer ${ADMIN_KEY}\r\n`;

describe("401 unauthenticated", () => {
  const targets: [string, string][] = [
    ["GET", "/vault/keys"],
    ["POST", "/vault/keys"],
    ["DELETE", "/vault/keys/aaaa"],
    ["GET", "/audit"],
    ["POST", "/reconcile"],
    ["GET", "/calls/none"],
    ["GET", "/vault/nothing"],
    ["PATCH", "/audit"],
  ];
  it.each(targets)("answers %s %s without a key, whether or not there is such a route", async (method, target) => {
    const { status, json, headers } = await harness.anonymous.send(method, target);
    expect([status, json.code]).toEqual([401, "unauthenticated"]);
    expect(headers.get("www-authenticate")).toBe("Bearer");
  });

  it.each([
    ["no scheme", ADMIN_KEY],
    ["Basic", `Basic ${Buffer.from(`${ADMIN_KEY}:`).toString("base64")}`],
    ["a wrong key", `Bearer ${ADMIN_KEY.slice(0, -1)}x`],
    ["a shorter key", `Bearer ${ADMIN_KEY.slice(0, -1)}`],
    ["a longer key", `Bearer ${ADMIN_KEY}x`],
    ["two keys", `Bearer ${ADMIN_KEY} ${ADMIN_KEY}`],
    ["nothing", "Bearer "],
    ["the stored hash", "Bearer v1:00:00"],
  ])("answers %s with the same sentence", async (_what, value) => {
    const plain = await harness.anonymous.get("/vault/keys");
    const answer = await harness.anonymous.get("/vault/keys", { headers: { authorization: value } });
    expect([answer.status, answer.text]).toEqual([401, plain.text]);
  });

  it("answers before the body is read", async () => {
    const { status } = await raw(
      `POST /vault/keys HTTP/1.1\r\nhost: x\r\ncontent-length: 60000\r\nconnection: close\r\n\r\n`,
    );
    expect(status).toBe(401);
  });

  it("takes the scheme in any case", async () => {
    const headers = { authorization: `bearer ${ADMIN_KEY}` };
    expect((await harness.anonymous.get("/vault/keys", { headers })).status).toBe(200);
  });

  it("does not stand before health and the description", async () => {
    expect((await harness.anonymous.get("/health")).json).toEqual({ status: "ok" });
    expect((await harness.anonymous.get("/openapi.json")).json.openapi).toBe("3.1.0");
  });
});

describe("404 and 405 not_found", () => {
  it.each(["/vault", "/vault/keys/", "/Vault/keys", "/vault/keys/a/b", "/audit/", "/calls", "/jobs", "/health/x"])(
    "answers 404 for %s",
    async (target) => {
      const { status, json } = await harness.client.get(target);
      expect([status, json.code]).toEqual([404, "not_found"]);
    },
  );

  it.each([
    ["PUT", "/vault/keys", "POST, GET"],
    ["DELETE", "/audit", "GET"],
    ["GET", "/reconcile", "POST"],
    ["POST", "/health", "GET"],
    ["PATCH", "/vault/keys/abc", "GET, DELETE"],
    ["OPTIONS", "/vault/keys/abc/pause", "POST"],
  ])("answers 405 to %s %s, and which methods there are", async (method, target, allow) => {
    const { status, json, headers } = await harness.client.send(method, target);
    expect([status, json.code, headers.get("allow")]).toEqual([405, "not_found", allow]);
  });

  it("answers HEAD as GET without a body", async () => {
    const answer = await harness.client.send("HEAD", "/vault/keys");
    expect([answer.status, answer.text]).toEqual([200, ""]);
  });
});

describe("a body that cannot be read", () => {
  const good = JSON.stringify(keyBody("never"));
  it.each<[string, number, string, Record<string, string>, string | Uint8Array<ArrayBuffer>]>([
    ["not JSON", 400, "request_invalid", {}, "{"],
    ["text behind the JSON", 400, "request_invalid", {}, `${good}x`],
    ["a list", 400, "request_invalid", {}, "[]"],
    ["a number", 400, "request_invalid", {}, "5"],
    ["null", 400, "request_invalid", {}, "null"],
    ["a name twice", 400, "request_invalid", {}, good.replace("{", '{"usd_cap":1,')],
    [
      "a name twice in limits",
      400,
      "request_invalid",
      {},
      good.replace("{", '{"limits":{"max_calls":1,"max_calls":9},'),
    ],
    ["__proto__", 400, "request_invalid", {}, good.replace("{", '{"__proto__":{"usd_cap":9},')],
    ["bytes that are not UTF-8", 400, "request_invalid", {}, new Uint8Array([123, 255, 125])],
    ["a byte order mark", 400, "request_invalid", {}, `\ufeff${good}`],
    ["a form", 415, "media_type_unsupported", { "content-type": "application/x-www-form-urlencoded" }, "usd_cap=5"],
    ["plain text", 415, "media_type_unsupported", { "content-type": "text/plain" }, good],
    ["another charset", 415, "media_type_unsupported", { "content-type": "application/json; charset=utf-16" }, good],
    ["an encoding", 415, "media_type_unsupported", { "content-encoding": "gzip" }, good],
    ["too many bytes", 413, "body_too_large", {}, " ".repeat(65_537)],
    ["nothing", 400, "request_invalid", {}, ""],
  ])("%s answers %i %s", async (_what, status, code, headers, body) => {
    const answer = await harness.client.send("POST", "/vault/keys", { raw: body, headers });
    expect([answer.status, answer.json.code]).toEqual([status, code]);
  });

  it("leaves no key behind, and the next request is served", async () => {
    expect((await harness.client.get("/vault/keys")).json.keys).toEqual([]);
    expect((await harness.client.post("/vault/keys", keyBody("after"))).status).toBe(201);
  });

  it("a body where none is taken answers 400", async () => {
    const { status } = await harness.client.send("DELETE", "/vault/keys/abc", { raw: '{"a":1}' });
    expect(status).toBe(400);
  });
});

describe("a head that cannot be read in one way", () => {
  it.each([
    [
      "two Authorization headers",
      `GET /vault/keys HTTP/1.1\r\nhost: x\r\n${authorization}${authorization}connection: close\r\n\r\n`,
      400,
    ],
    [
      "two Accept headers",
      `GET /audit HTTP/1.1\r\nhost: x\r\n${authorization}accept: a/b\r\naccept: text/csv\r\nconnection: close\r\n\r\n`,
      400,
    ],
    [
      "a broken escape in the path",
      `GET /vault/keys/%zz HTTP/1.1\r\nhost: x\r\n${authorization}connection: close\r\n\r\n`,
      400,
    ],
    [
      "a NUL escape in the path",
      `GET /vault/keys/a%00 HTTP/1.1\r\nhost: x\r\n${authorization}connection: close\r\n\r\n`,
      404,
    ],
    [
      "a NUL escape in the query",
      `GET /audit?label=a%00 HTTP/1.1\r\nhost: x\r\n${authorization}connection: close\r\n\r\n`,
      400,
    ],
  ])("%s answers JSON", async (_what, text, status) => {
    const answer = await raw(text);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(/"code":"(request_invalid|not_found)"/);
  });
});

describe("what fails inside", () => {
  it("answers 503 ledger_unavailable in JSON, with nothing of the failure in it", async () => {
    const broken = await startControl([stripe], {
      reconcile: () => Promise.reject(new Error("canary: /secret/path")),
    });
    const { status, json, text } = await broken.client.post("/reconcile");
    expect([status, json.code]).toEqual([503, "ledger_unavailable"]);
    expect(text).not.toContain("canary");
    expect(broken.logged.join()).toContain("canary");
    await broken.close();
  });

  it("answers what a reconciliation did", async () => {
    const report = { looked: 4, settled: 2, released: 1, unknown: 1, repriced: 0 };
    const other = await startControl([stripe], { reconcile: async () => report });
    expect((await other.client.post("/reconcile")).json).toEqual(report);
    expect((await other.client.post("/reconcile", {})).json).toEqual(report);
    await other.close();
  });

  it("answers 503 when the store cannot be read", async () => {
    const broken = await startControl([stripe]);
    await broken.store.close();
    for (const target of ["/vault/keys", "/audit", `/vault/keys/${"a".repeat(26)}`]) {
      const { status, json } = await broken.client.get(target);
      expect([status, json.code]).toEqual([503, "ledger_unavailable"]);
    }
    await broken.close();
  });
});

describe("another principal than the admin", () => {
  const limited = {
    owner: "policy-a",
    by: "job-a@example",
    may: new Set(["claim", "read", "revoke"] as const),
    sees: "policy-a",
    policy: null,
    account: null,
  };

  it("is refused what its policy does not say, and sees its own keys only", async () => {
    const shared = await startControl([stripe], {
      authenticate: [async (bearer) => (bearer === "limited" ? limited : null)],
    });
    const client = new ControlClient(shared.url, "limited");
    const issue = await client.post("/vault/keys", keyBody("x"));
    expect([issue.status, issue.json.code]).toEqual([403, "policy_denied"]);
    const scope = {
      vendors: ["stripe"],
      allowedEndpoints: ["*"],
      accounts: [],
      perCallMicros: null,
      callsPerMinute: null,
      maxCalls: null,
      concurrency: 1,
      assumeMicros: null,
    };
    const made = async (owner: string) =>
      shared.ledger.issue({
        owner,
        label: "x",
        execution: null,
        asked: "{}",
        scope,
        capMicros: 1,
        dailyCapMicros: null,
        expiresAt: shared.clock.now() + 1000,
        by: "t",
        pepperVersion: 1,
      });
    const own = await made("policy-a");
    const other = await made("policy-b");
    expect(((await client.get("/vault/keys")).json.keys as unknown[]).length).toBe(1);
    expect((await client.get(`/vault/keys/${own.key.keyId}`)).status).toBe(200);
    expect((await client.get(`/vault/keys/${other.key.keyId}`)).status).toBe(404);
    expect((await client.delete(`/vault/keys/${other.key.keyId}`)).status).toBe(404);
    expect((await client.post(`/vault/keys/${own.key.keyId}/raise`, { usd_cap: 5 })).status).toBe(403);
    await shared.close();
  });
});

describe("the admin key and vault keys", () => {
  it("are in no log line", () => {
    expect(harness.logged.join()).not.toMatch(/canary-admin-key|vk_1_/);
  });
});
