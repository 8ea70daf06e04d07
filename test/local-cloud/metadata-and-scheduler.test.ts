/**
 * Goal: the local metadata server gives its account's token to whoever asks as documented and to nobody else; the local Scheduler delivers at least once, twice here, with the same schedule time each time.
 * Method: Google's own client library and plain requests against the one; a small server that refuses first and records what arrives against the other.
 * Limit: the pauses between tries are shortened, and no real instance was asked.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { LocalServer } from "../../examples/local-cloud/local-api.ts";
import { serveMetadata } from "../../examples/local-cloud/metadata-server.ts";
import { tick } from "../../examples/local-cloud/scheduler.ts";

describe("the metadata server", () => {
  const account = "agent@local-project.iam.gserviceaccount.com";
  const identity = "/computeMetadata/v1/instance/service-accounts/default/identity";
  let server: LocalServer;
  beforeEach(async () => {
    server = await serveMetadata({
      serviceAccount: account,
      project: "local-project",
      idToken: (audience, full) => `token for ${audience}${full ? ", full" : ""}`,
    });
  });
  afterEach(() => server.close());
  const ask = (path: string, headers: Record<string, string> = { "metadata-flavor": "Google" }, method = "GET") =>
    fetch(server.url + path, { headers, method });

  it.each([
    [`${identity}?audience=the%20proxy&format=full`, "token for the proxy, full"],
    [`${identity}?audience=https://proxy/`, "token for https://proxy/"],
    [`/computeMetadata/v1/instance/service-accounts/${account}/identity?audience=a`, "token for a"],
    ["/computeMetadata/v1/instance/service-accounts/default/email", account],
    ["/computeMetadata/v1/project/project-id", "local-project"],
  ])("answers %s", async (path, text) => {
    const response = await ask(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("metadata-flavor")).toBe("Google");
    expect(await response.text()).toBe(text);
  });

  it.each([
    ["a request without Metadata-Flavor", `${identity}?audience=a`, {}, 403],
    ["another flavor", `${identity}?audience=a`, { "metadata-flavor": "google" }, 403],
    [
      "a request that a proxy passed on",
      `${identity}?audience=a`,
      { "metadata-flavor": "Google", "x-forwarded-for": "1.2.3.4" },
      403,
    ],
    ["no audience", identity, undefined, 400],
    ["another account", "/computeMetadata/v1/instance/service-accounts/other@x/identity?audience=a", undefined, 404],
    ["another path", "/computeMetadata/v1/instance/attributes/ssh-keys", undefined, 404],
  ])("gives no token to %s", async (_, path, headers, status) => {
    const response = await ask(path, headers);
    expect(response.status).toBe(status);
    expect(await response.text()).not.toContain("token for");
  });

  it("is what Google's own library finds by GCE_METADATA_HOST", async () => {
    const { Compute } = await import("google-auth-library");
    process.env.GCE_METADATA_HOST = new URL(server.url).host;
    try {
      expect(await new Compute().fetchIdToken("the-proxy")).toBe("token for the-proxy, full");
    } finally {
      delete process.env.GCE_METADATA_HOST;
    }
  });
});

describe("the Scheduler", () => {
  let target: Server;
  let url: string;
  let seen: IncomingMessage["headers"][];
  let answers: (number | "reset")[];
  beforeEach(async () => {
    seen = [];
    answers = [];
    target = createServer((request, response) => {
      seen.push(request.headers);
      const answer = answers.shift() ?? 201;
      if (answer === "reset") request.socket.destroy();
      else response.writeHead(answer).end("{}");
    }).listen(0, "127.0.0.1");
    await once(target, "listening");
    url = `http://127.0.0.1:${(target.address() as AddressInfo).port}/jobs/agent/executions`;
  });
  afterEach(() => void target.close());
  const options = () => {
    let tokens = 0;
    return {
      url,
      name: "nightly",
      scheduleTime: "2026-11-22T01:00:00Z",
      idToken: () => `token-${++tokens}`,
      backoffMs: 1,
    };
  };

  it("delivers one scheduled time twice, with its headers and a token", async () => {
    expect(await tick(options())).toEqual([201, 201]);
    expect(seen).toHaveLength(2);
    for (const headers of seen) {
      expect(headers).toMatchObject({
        "user-agent": "Google-Cloud-Scheduler",
        "x-cloudscheduler": "true",
        "x-cloudscheduler-jobname": "nightly",
        "x-cloudscheduler-scheduletime": "2026-11-22T01:00:00Z",
      });
      expect(headers.authorization).toMatch(/^Bearer token-\d$/);
    }
  });

  it("tries a delivery again after a 503, a 404 and a lost answer, with the same schedule time and a new token", async () => {
    answers = [503, 404, "reset", 200];
    expect(await tick({ ...options(), deliveries: 1 })).toEqual([200]);
    expect(seen.map((headers) => headers["x-cloudscheduler-scheduletime"])).toEqual(
      Array(4).fill("2026-11-22T01:00:00Z"),
    );
    expect(new Set(seen.map((headers) => headers.authorization)).size).toBe(4);
  });

  it("gives up after five more tries, and says what came last", async () => {
    answers = Array(20).fill(503);
    expect(await tick({ ...options(), deliveries: 1 })).toEqual([503]);
    expect(seen).toHaveLength(6);
  });

  it("a forced run has no schedule time", async () => {
    await tick({ ...options(), scheduleTime: null });
    expect(seen[0]).not.toHaveProperty("x-cloudscheduler-scheduletime");
    expect(seen[0]).toHaveProperty("x-cloudscheduler-jobname");
  });
});
