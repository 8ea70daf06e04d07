/**
 * Goal: what Google's own client library makes of Cloud Run's answers is told apart rightly: started, refused, busy, unclear; and no
 * request is ever sent twice by the library.
 * Method: the real `@googleapis/run` against a server on loopback that answers what the test says, in Google's JSON.
 * Limit: no emulator of Cloud Run exists. The shapes are those of the published client's types and of the REST reference; which status
 * Cloud Run answers to what is documented only in part, and no credential is checked.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  googleError,
  type LocalAnswer,
  type LocalRequest,
  type LocalServer,
  serveLocalApis,
} from "../../examples/local-cloud/local-api.ts";
import { cloudRunApi } from "../../service/google/cloud-run-api.ts";
import { type CloudRun, CloudRunUnavailable } from "../../service/setup/cloud-run.ts";

const JOB = { project: "my-project", location: "us-central1", job: "nightly" };
const PARENT = "projects/my-project/locations/us-central1/jobs/nightly";
const VAULT_KEY = `vk_1_${"a".repeat(26)}_${"B".repeat(43)}`;

let server: LocalServer;
let requests: LocalRequest[];
let answer: (request: LocalRequest) => LocalAnswer | Promise<LocalAnswer>;
let cloudRun: CloudRun;

beforeEach(async () => {
  requests = [];
  server = await serveLocalApis([
    async (request) => {
      requests.push(request);
      return answer(request);
    },
  ]);
  cloudRun = cloudRunApi({ googleApis: server.url, callMs: 400 });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
});

function execution(name: string, more: Record<string, unknown> = {}, runId: string | null = null) {
  const env = runId === null ? [] : [{ name: "KEYBRAKE_RUN_ID", value: runId }];
  return {
    name: `${PARENT}/executions/${name}`,
    job: "nightly",
    createTime: "2026-11-22T02:00:01.123456789Z",
    template: { serviceAccount: "tasks@my-project.iam.gserviceaccount.com", containers: [{ env: [] }, { env }] },
    ...more,
  };
}

const operation = (name: string): LocalAnswer => ({
  status: 200,
  json: {
    name: "projects/my-project/locations/us-central1/operations/1",
    metadata: { "@type": "type.googleapis.com/google.cloud.run.v2.Execution", ...execution(name) },
  },
});
const run = () => cloudRun.run(JOB, [{ container: null, env: { KEYBRAKE_VAULT_KEY: VAULT_KEY } }]);

describe("jobs.run", () => {
  it("sends the overrides of every container, and answers the execution's short name", async () => {
    answer = () => operation("nightly-x7k2p");
    const result = await cloudRun.run(JOB, [
      { container: "agent", env: { A: "1", B: "2" }, args: ["--now"] },
      { container: null, env: { A: "3" } },
    ]);
    expect(result).toEqual({ kind: "started", execution: "nightly-x7k2p" });
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({ method: "POST", path: `/v2/${PARENT}:run` });
    expect(requests[0]!.headers.authorization).toBe(undefined);
    expect(requests[0]!.body).toEqual({
      overrides: {
        containerOverrides: [
          {
            name: "agent",
            env: [
              { name: "A", value: "1" },
              { name: "B", value: "2" },
            ],
            args: ["--now"],
          },
          { env: [{ name: "A", value: "3" }] },
        ],
      },
    });
  });

  it.each<[string, LocalAnswer, string]>([
    ["400", googleError(400, "bad override"), "refused"],
    ["401", googleError(401, "no credential"), "refused"],
    ["403", googleError(403, "no permission"), "refused"],
    ["404", googleError(404, "no such job"), "refused"],
    ["429", googleError(429, "quota"), "busy"],
    ["409, a conflict that passes", googleError(409, "aborted"), "busy"],
    ["408", googleError(408, "timeout"), "unclear"],
    ["500", googleError(500, "internal"), "unclear"],
    ["502 in HTML", { status: 502, text: "<html>Bad Gateway</html>" }, "unclear"],
    ["503", googleError(503, "unavailable"), "unclear"],
    ["304", { status: 304, text: "" }, "unclear"],
    ["a redirect", { status: 302, text: "", headers: { location: "/elsewhere" } }, "unclear"],
    ["200 without an execution", { status: 200, json: { name: "operations/1" } }, "unclear"],
    ["200 with a name that is none", operation("../../x"), "unclear"],
    ["200 that is no JSON", { status: 200, text: "ok" }, "unclear"],
    ["a connection that ends", { reset: true }, "unclear"],
  ])("%s", async (_name, given, kind) => {
    answer = ({ path }) => (path === `/v2/${PARENT}:run` ? given : operation("elsewhere"));
    expect((await run()).kind).toBe(kind);
    expect(requests.filter(({ path }) => path.endsWith(":run"))).toHaveLength(1);
  });

  it("is unclear when no answer comes in time, and is not sent again", async () => {
    answer = () => new Promise(() => {});
    expect(await run()).toMatchObject({ kind: "unclear" });
    expect(requests).toHaveLength(1);
  });

  it("is unclear when nobody listens", async () => {
    await server.close();
    expect(await run()).toMatchObject({ kind: "unclear" });
  });

  it("tells Google's reason in one line, without a vault key that it repeats", async () => {
    answer = () => googleError(400, `Invalid value\nfor env: ${VAULT_KEY}.`);
    expect(await run()).toEqual({ kind: "refused", status: 400, reason: "Invalid value for env: vk_…" });
  });

  it("is not sent without a credential: then it is busy, for nothing runs", async () => {
    vi.stubEnv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/credentials.json");
    const result = await cloudRunApi({ googleApis: null }).run(JOB, []);
    expect(result.kind).toBe("busy");
    expect(result).toHaveProperty("reason", expect.stringMatching(/^no credential for Cloud Run: /));
  });
});

describe("executions.get", () => {
  it("reads what the setup task needs", async () => {
    answer = () => ({ status: 200, json: execution("nightly-a", { completionTime: "2026-11-22T03:00:00Z" }, "run1") });
    expect(await cloudRun.execution(JOB, "nightly-a")).toEqual({
      name: "nightly-a",
      job: "nightly",
      serviceAccount: "tasks@my-project.iam.gserviceaccount.com",
      completed: true,
      runId: "run1",
      createdAt: Date.parse("2026-11-22T02:00:01.123Z"),
    });
    expect(requests[0]!.path).toBe(`/v2/${PARENT}/executions/nightly-a`);
  });

  it("takes the job's full name as well, and an execution that runs without a run", async () => {
    answer = () => ({ status: 200, json: execution("nightly-a", { job: PARENT }) });
    expect(await cloudRun.execution(JOB, "nightly-a")).toMatchObject({ job: "nightly", completed: false, runId: null });
  });

  it("answers null when there is none", async () => {
    answer = () => googleError(404, "not found");
    expect(await cloudRun.execution(JOB, "nightly-a")).toBe(null);
  });

  it.each<[string, LocalAnswer]>([
    ["403", googleError(403, "no permission")],
    ["500", googleError(500, "internal")],
    ["reset", { reset: true }],
    ["an execution without its time", { status: 200, json: execution("nightly-a", { createTime: undefined }) }],
    ["something else", { status: 200, json: { hello: 1 } }],
  ])("throws for %s", async (_name, given) => {
    answer = () => given;
    await expect(cloudRun.execution(JOB, "nightly-a")).rejects.toThrow(CloudRunUnavailable);
  });

  it("throws when no answer comes in time", async () => {
    answer = () => new Promise(() => {});
    await expect(cloudRun.execution(JOB, "nightly-a")).rejects.toThrow(CloudRunUnavailable);
  });
});

describe("executions.list", () => {
  const at = (minute: number) => ({ createTime: `2026-11-22T02:${String(minute).padStart(2, "0")}:00Z` });
  const since = Date.parse("2026-11-22T02:10:00Z");

  it("reads every page, in whatever order, and sorts what is not older, newest first", async () => {
    const pages: Record<string, LocalAnswer> = {
      "": {
        status: 200,
        json: { executions: [execution("b", at(9)), execution("c", at(10))], nextPageToken: "two" },
      },
      two: { status: 200, json: { nextPageToken: "three" } },
      three: { status: 200, json: { executions: [execution("d", at(11), "run1"), execution("a", at(2))] } },
    };
    answer = ({ query }) => pages[query.get("pageToken") ?? ""]!;
    const found = await cloudRun.executionsSince(JOB, since);
    expect(found.map(({ name, runId }) => [name, runId])).toEqual([
      ["d", "run1"],
      ["c", null],
    ]);
    expect(requests.map(({ path }) => path)).toEqual(Array(3).fill(`/v2/${PARENT}/executions`));
  });

  it("is empty for a job that never ran", async () => {
    answer = () => ({ status: 200, json: {} });
    expect(await cloudRun.executionsSince(JOB, since)).toEqual([]);
  });

  it.each<[string, (page: number) => LocalAnswer]>([
    [
      "fails on a later page",
      (page) => (page === 1 ? googleError(503, "unavailable") : { status: 200, json: { nextPageToken: "x" } }),
    ],
    ["never ends", (page) => ({ status: 200, json: { nextPageToken: `page ${page}` } })],
    ["misses a time", () => ({ status: 200, json: { executions: [execution("a", { createTime: null })] } })],
  ])("throws rather than tell half, when it %s", async (_name, given) => {
    let page = 0;
    answer = () => given(page++);
    await expect(cloudRunApi({ googleApis: server.url }).executionsSince(JOB, since)).rejects.toThrow(
      CloudRunUnavailable,
    );
    expect(page).toBeLessThanOrEqual(50);
  });
});
