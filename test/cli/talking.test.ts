/**
 * Goal: the command line asks the control plane for the right thing, shows all of what it answers, and fails in one sentence.
 * Method: a loopback server inside the test stands for the control plane; commands run as the real executable, or inside the
 * test where a terminal is needed.
 * Limit: that the real control plane has these routes and fields is what real-proxy.test.ts shows, not this file.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import {
  ADMIN_KEY,
  answerJson,
  answerPages,
  auditRow,
  type LoopbackControl,
  startLoopbackControl,
} from "./loopback-control.ts";
import { runCli } from "./run-cli.ts";
import { runHere } from "./run-here.ts";

let control: LoopbackControl | null = null;
afterEach(async () => {
  await control?.stop();
  control = null;
});

async function serve(...parameters: Parameters<typeof startLoopbackControl>): Promise<Record<string, string>> {
  control = await startLoopbackControl(...parameters);
  return { KEYBRAKE_URL: control.url, KEYBRAKE_ADMIN_KEY: ADMIN_KEY };
}

const keyId = "b".repeat(26);

describe("what is sent", () => {
  it("issue sends dollars as the text that was typed, and leaves out what was not asked", async () => {
    const env = await serve((_, response) => answerJson(response, { key_id: keyId }, 201));
    await runCli(
      [
        "keys",
        "issue",
        "--vendor",
        "stripe",
        "--usd-cap",
        "0.10",
        "--allow",
        "POST /v1/charges",
        "--allow",
        "GET *",
        "--expires-in",
        "90m",
        "--label",
        "run-1",
        "--max-calls",
        "7",
      ],
      { env },
    );
    expect(control?.seen).toHaveLength(1);
    expect(control?.seen[0]).toMatchObject({
      method: "POST",
      target: "/vault/keys",
      authorization: `Bearer ${ADMIN_KEY}`,
    });
    expect(JSON.parse(control?.seen[0]?.body ?? "")).toEqual({
      vendors: ["stripe"],
      usd_cap: "0.10",
      allowed_endpoints: ["POST /v1/charges", "GET *"],
      expires_in: "90m",
      label: "run-1",
      limits: { max_calls: 7 },
    });
  });

  it.each([
    { args: ["keys", "show", keyId], request: `GET /vault/keys/${keyId}` },
    { args: ["keys", "revoke", keyId, "--reason", "a & b"], request: `DELETE /vault/keys/${keyId}?reason=a+%26+b` },
    { args: ["keys", "pause", keyId], request: `POST /vault/keys/${keyId}/pause` },
    { args: ["keys", "resume", keyId], request: `POST /vault/keys/${keyId}/resume` },
    { args: ["keys", "raise", keyId, "--usd-cap", "7"], request: `POST /vault/keys/${keyId}/raise` },
    { args: ["calls", "show", "c1"], request: "GET /calls/c1" },
    { args: ["calls", "settle", "c1", "--cost-usd", "1.5", "--reason", "r"], request: "POST /calls/c1/settle" },
    { args: ["calls", "release", "c1", "--reason", "r"], request: "POST /calls/c1/release" },
    { args: ["reconcile"], request: "POST /reconcile" },
    {
      args: ["audit", "summary", "--label", "l", "--group-by", "task"],
      request: "GET /audit/summary?label=l&group_by=task",
    },
    { args: ["audit", "--label", "l", "--group-by", "task"], request: "GET /audit/summary?label=l&group_by=task" },
  ])("$args sends $request", async ({ args, request }) => {
    const env = await serve((_, response) => answerJson(response, { groups: [] }));
    expect(await runHere(args, { env })).toMatchObject({ code: 0, stderr: "" });
    expect(control?.seen.map(({ method, target }) => `${method} ${target}`)).toEqual([request]);
  });

  it("times before now are counted from now, and dates are UTC", async () => {
    const env = await serve((_, response) => answerJson(response, { calls: [], next_cursor: null }));
    const now = Date.parse("2026-11-22T12:00:00Z");
    await runHere(["audit", "--since", "36h", "--until", "2026-11-22T10:30"], { env, now });
    const query = new URL(control?.seen[0]?.target ?? "", control?.url).searchParams;
    expect(query.get("since")).toBe("2026-11-21T00:00:00.000Z");
    expect(query.get("until")).toBe("2026-11-22T10:30:00.000Z");
  });

  it("the admin key may come from a file or from stdin, which win over the variable", async () => {
    const env = await serve((_, response) => answerJson(response, { settled: 0 }));
    const directory = await mkdtemp(join(tmpdir(), "keybrake-cli-"));
    try {
      await writeFile(join(directory, "key"), "key-from-file\n");
      await runCli(["reconcile", "--admin-key-file", join(directory, "key")], { env });
      await runCli(["reconcile", "--admin-key-file", "-"], { env, stdin: "key-from-stdin\n" });
    } finally {
      await rm(directory, { recursive: true });
    }
    expect(control?.seen.map(({ authorization }) => authorization)).toEqual([
      "Bearer key-from-file",
      "Bearer key-from-stdin",
    ]);
  });
});

describe("the audit", () => {
  it("piped: one JSON object as the control plane's own, over all pages", async () => {
    const env = await serve((request, response) => answerPages(request, response, 1203));
    const result = await runCli(["audit", "--all"], { env });
    const answer = JSON.parse(result.stdout) as { calls: { call_id: string }[]; next_cursor: unknown };
    expect(answer.calls.map((call) => call.call_id)).toEqual(Array.from({ length: 1203 }, (_, index) => `c${index}`));
    expect(answer.next_cursor).toBeNull();
    expect(control?.seen).toHaveLength(3);
  });

  it("--limit ends in the middle of the list and names the cursor to go on from", async () => {
    const env = await serve((request, response) => answerPages(request, response, 1203));
    const result = await runCli(["audit", "--limit", "700"], { env });
    const answer = JSON.parse(result.stdout) as { calls: unknown[]; next_cursor: string };
    expect(answer.calls).toHaveLength(700);
    expect(answer.next_cursor).toBe("700");
    const next = JSON.parse(
      (await runCli(["audit", "--limit", "1", "--cursor", "700"], { env })).stdout,
    ) as typeof answer;
    expect(next.calls).toMatchObject([{ call_id: "c700" }]);
  });

  it("an audit without calls is a JSON object with none, and a CSV with its header only", async () => {
    const env = await serve((request, response) => answerPages(request, response, 0));
    expect(JSON.parse((await runCli(["audit"], { env })).stdout)).toEqual({ calls: [], next_cursor: null });
    expect((await runCli(["audit", "--format", "ndjson"], { env })).stdout).toBe("");
    expect((await runCli(["audit", "--format", "csv"], { env })).stdout).toMatch(/^call_id,key_id,label,[a-z_,]+\r\n$/);
  });

  it("NDJSON is one call a line", async () => {
    const env = await serve((request, response) => answerPages(request, response, 501));
    const lines = (await runCli(["audit", "--all", "--format", "ndjson"], { env })).stdout.trimEnd().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { call_id: string }).call_id)).toEqual(
      Array.from({ length: 501 }, (_, index) => `c${index}`),
    );
  });

  it("CSV has one header over all pages, and no cell that a spreadsheet would run", async () => {
    const env = await serve((request, response) => answerPages(request, response, 501));
    const lines = (await runCli(["audit", "--all", "--format", "csv"], { env })).stdout.trimEnd().split("\r\n");
    expect(lines).toHaveLength(502);
    expect(lines.filter((line) => line.startsWith("call_id,"))).toHaveLength(1);
    await control?.stop();
    const evil = await serve((_, response) =>
      answerJson(response, { calls: [auditRow(1, { object_id: '=HYPERLINK("http://x")' })], next_cursor: null }),
    );
    const { stdout } = await runCli(["audit", "--format", "csv"], { env: evil });
    expect(stdout).toContain("HYPERLINK");
    expect(stdout).not.toMatch(/(^|,)"?=/m);
  });

  it("a terminal gets a table, with control characters made harmless and a word when there are more", async () => {
    const env = await serve((_, response) =>
      answerJson(response, { calls: [auditRow(1, { object_id: "pi\u001b[2J_1" })], next_cursor: "1" }),
    );
    const result = await runHere(["audit", "--limit", "1"], { env, terminal: true });
    expect(result.stdout).toMatch(/^TIME \(UTC\) +STATE +VENDOR/);
    expect(result.stdout).toMatch(/2026-11-22 11:00:00 +settled +stripe +POST \/v1\/payment_intents +40\.00/);
    expect(result.stdout).not.toContain("\u001b");
    expect(result.stderr).toBe("There are more: use --limit or --all.\n");
  });

  it("a terminal with --json gets JSON", async () => {
    const env = await serve((request, response) => answerPages(request, response, 2));
    const result = await runHere(["audit", "--json"], { env, terminal: true });
    expect(JSON.parse(result.stdout)).toMatchObject({ calls: [{ call_id: "c0" }, { call_id: "c1" }] });
  });

  it("a reader that closes the pipe early ends it quietly", async () => {
    const env = await serve((request, response) => answerPages(request, response, 100_000));
    const result = await runCli(["audit", "--all", "--format", "ndjson"], { env, closeEarly: true });
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(control?.seen.length).toBeLessThan(200);
  });
});

describe("failures", () => {
  it("a proxy that is not there is named, with how to start one", async () => {
    const env = await serve(() => {});
    await control?.stop();
    const result = await runCli(["keys", "list"], { env });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(
      /^keybrake: no proxy answers at http:\S+ \(ECONNREFUSED\): start one with `keybrake serve`[^\n]*\n$/,
    );
  });

  it("a refusal is shown as the proxy's own sentence and exits 1", async () => {
    const message = "label_conflict: the label has a key with another budget; use another label";
    const env = await serve((_, response) => answerJson(response, { code: "label_conflict", message }, 409));
    const result = await runCli(["keys", "show", keyId], { env });
    expect(result).toEqual({ code: 1, stdout: "", stderr: `keybrake: ${message}.\n` });
  });

  it("a wrong admin key is told with where it comes from, and is not repeated", async () => {
    const env = await serve((_, response) =>
      answerJson(response, { code: "unauthenticated", message: "unauthenticated: no" }, 401),
    );
    const result = await runCli(["keys", "list"], { env });
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/check KEYBRAKE_ADMIN_KEY or --admin-key-file/);
    expect(result.stderr).not.toContain(ADMIN_KEY);
  });

  it.each([
    { what: "HTML", body: "<html>hello</html>", status: 200, says: /is no Keybrake proxy/ },
    { what: "a JSON list", body: "[]", status: 200, says: /is no Keybrake proxy/ },
    { what: "an empty 500", body: "", status: 500, says: /answered 500/ },
    { what: "a list without its cursor", body: '{"keys":[]}', status: 200, says: /another version/ },
    {
      what: "a cursor that leads nowhere",
      body: '{"keys":[],"next_cursor":"x"}',
      status: 200,
      says: /does not advance/,
    },
  ])("$what is told as what it is", async ({ body, status, says }) => {
    const env = await serve((_, response) => response.writeHead(status).end(body));
    const result = await runHere(["keys", "list", "--all"], { env });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(says);
    expect(result.stderr.trimEnd()).not.toContain("\n");
  });

  it("a redirect is not followed: the admin key goes nowhere else", async () => {
    const env = await serve((request, response) =>
      request.target === "/reconcile"
        ? response.writeHead(307, { location: "/elsewhere" }).end()
        : answerJson(response, {}),
    );
    expect(await runCli(["reconcile"], { env })).toMatchObject({ code: 1, stdout: "" });
    expect(control?.seen.map(({ target }) => target)).toEqual(["/reconcile"]);
  });

  it("an answer that is cut in the middle fails", async () => {
    const env = await serve((_, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write('{"settled":');
      response.destroy();
    });
    const result = await runCli(["reconcile"], { env });
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/^keybrake: [^\n]+\n$/);
  });
});
