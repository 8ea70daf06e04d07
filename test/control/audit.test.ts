/**
 * Goal: the audit in its three forms, its filters, its cursor, and the bill of a run.
 * Method: calls driven through the real ledger, read over a real socket; answers checked against the OpenAPI description.
 * Limit: thousands of rows at most; the store in memory stands for the others, which pass one contract.
 */
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN_KEY, type Harness, issueKey, makeCall, resend, START, startControl, stripe } from "./harness.ts";

let harness: Harness;

beforeEach(async () => {
  harness = await startControl([stripe, resend]);
});
afterEach(() => harness.close());

type Row = Record<string, unknown>;
const rows = async (query: string): Promise<Row[]> => (await harness.client.get(`/audit?${query}`)).json.calls as Row[];

describe("GET /audit answers 200", () => {
  it("with every field of a call, dollars beside micros, newest first", async () => {
    const { keyId } = await issueKey(harness, "run", { execution: "exec-1" });
    await makeCall(harness, keyId, "settled", { task: 7, attempt: 1 });
    harness.clock.time += 1000;
    await makeCall(harness, keyId, "unknown");
    const [second, first] = await rows("label=run");
    expect(first).toMatchObject({
      key_id: keyId,
      label: "run",
      vendor: "stripe",
      endpoint: "POST /v1/payment_intents",
      state: "settled",
      status: 200,
      object_id: expect.stringMatching(/^pi_/),
      currency: "usd",
      amount_minor: 4000,
      execution: "exec-1",
      task_index: 7,
      task_attempt: 1,
      cost_usd: "40.00",
      cost_micros: 40_000_000,
      quote_micros: 40_000_000,
      created_at: "2026-11-22T10:00:00.000Z",
      settled_at: "2026-11-22T10:00:00.000Z",
      identity: "task",
    });
    expect(second).toMatchObject({
      state: "unknown",
      code: "timeout",
      reserved_usd: "40.00",
      cost_micros: 0,
      settled_at: null,
    });
  });

  it("with refused calls and their code", async () => {
    const { keyId } = await issueKey(harness, "refused");
    harness.ledger.refused(keyId, {
      code: "endpoint_not_allowed",
      vendor: "stripe",
      endpoint: "POST /v1/refunds",
      method: "POST",
      path: "/v1/refunds",
      task: null,
      attempt: null,
    });
    await expect.poll(() => rows("state=refused")).toHaveLength(1);
    expect((await rows("label=refused"))[0]).toMatchObject({
      state: "refused",
      code: "endpoint_not_allowed",
      cost_micros: 0,
    });
  });
});

describe("the filters", () => {
  beforeEach(async () => {
    const one = await issueKey(harness, "one", { execution: "exec-1" });
    const two = await issueKey(harness, "exec-1", {
      vendor: undefined,
      vendors: ["stripe", "resend"],
      allowed_endpoints: ["*"],
    });
    await makeCall(harness, one.keyId, "settled", { task: 0, attempt: 0 });
    harness.clock.time += 60_000;
    await makeCall(harness, one.keyId, "unknown", { task: 1, attempt: 0 });
    harness.clock.time += 60_000;
    await makeCall(harness, two.keyId, "settled", { vendor: "resend", endpoint: "POST /emails", path: "/emails" });
  });

  it.each<[string, number]>([
    ["", 3],
    ["label=one", 2],
    ["label=exec-1", 3],
    ["execution=exec-1", 2],
    ["label=one&execution=exec-1", 2],
    ["label=one&execution=other", 0],
    ["label=nobody", 0],
    ["task_index=0", 1],
    ["task_index=1&state=settled", 0],
    ["vendor=resend", 1],
    ["state=unknown", 1],
    [`since=${START + 60_000}`, 2],
    [`until=${START + 60_000}`, 1],
    ["since=2026-11-22T10:01:00Z&until=2026-11-22T10:02:00Z", 1],
    ["since=2026-11-22T11:01:00%2B01:00", 2],
    ["since=2026-11-23", 0],
    ["until=2026-11-23", 3],
  ])("%s finds %i", async (query, found) => {
    expect(await rows(query)).toHaveLength(found);
  });

  it("key_id finds the calls of one key", async () => {
    const [call] = await rows("vendor=resend");
    expect(await rows(`key_id=${String(call!.key_id)}`)).toHaveLength(1);
  });

  it.each([
    "since=yesterday",
    "since=2026-11-22T10:00:00",
    "since=2026-13-01",
    "state=open",
    "task_index=-1",
    "task_index=1.5",
    "limit=1001",
    "cursor=abc",
    "labell=one",
    "label=a%20b",
    "label=one&label=two",
  ])("%s answers 400", async (query) => {
    const { status, json } = await harness.client.get(`/audit?${query}`);
    expect([status, json.code]).toEqual([400, "request_invalid"]);
  });
});

describe("the cursor", () => {
  it("shows each row once while calls are added between the pages", async () => {
    const { keyId } = await issueKey(harness, "paged");
    const made: string[] = [];
    for (let index = 0; index < 7; index += 1)
      made.unshift((await makeCall(harness, keyId, "settled", { quoteMicros: 10_000 })).id);
    const seen: unknown[] = [];
    let cursor: string | null = null;
    do {
      const { json } = await harness.client.get(`/audit?label=paged&limit=3${cursor ? `&cursor=${cursor}` : ""}`);
      seen.push(...(json.calls as Row[]).map((row) => row.call_id));
      cursor = json.next_cursor as string | null;
      await makeCall(harness, keyId, "settled", { quoteMicros: 10_000 });
    } while (cursor !== null);
    expect(seen).toEqual(made);
  });
});

describe("NDJSON and CSV", () => {
  async function fill(count: number): Promise<string> {
    const { keyId } = await issueKey(harness, "@=export", { label: "-export", limits: { concurrency: 2_000 } });
    await Promise.all(
      Array.from({ length: count }, () => makeCall(harness, keyId, "settled", { quoteMicros: 10_000 })),
    );
    return keyId;
  }

  it("stream all rows, beyond one page, to the end", async () => {
    await fill(1203);
    const ndjson = await harness.client.get("/audit", { accept: "application/x-ndjson" });
    const ids = ndjson.text
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as Row).call_id);
    expect(new Set(ids).size).toBe(1203);
    const csv = await harness.client.get("/audit", { accept: "text/csv" });
    expect(csv.headers.get("content-type")).toContain("text/csv");
    const lines = csv.text.trim().split("\r\n");
    expect(lines).toHaveLength(1204);
    expect(lines[0]).toMatch(/^call_id,key_id,label,vendor,endpoint,/);
  });

  it("stop at the limit and hand over the next cursor in a header", async () => {
    await fill(5);
    const first = await harness.client.get("/audit?limit=3", { accept: "application/x-ndjson" });
    const cursor = first.headers.get("x-keybrake-next-cursor");
    expect(first.text.trim().split("\n")).toHaveLength(3);
    const rest = await harness.client.get(`/audit?limit=3&cursor=${cursor}`, { accept: "application/x-ndjson" });
    expect(rest.text.trim().split("\n")).toHaveLength(2);
    expect(rest.headers.get("x-keybrake-next-cursor")).toBeNull();
  });

  it("keep a spreadsheet from running a label as a formula", async () => {
    await fill(1);
    const { text } = await harness.client.get("/audit", { accept: "text/csv" });
    expect(text).toContain(",'-export,");
  });

  it("answer an empty file with its header, and no line, when nothing matches", async () => {
    expect((await harness.client.get("/audit", { accept: "text/csv" })).text.trim().split("\r\n")).toHaveLength(1);
    expect((await harness.client.get("/audit", { accept: "application/x-ndjson" })).text).toBe("");
  });

  it("answer 406 to a media type that is not one of the three", async () => {
    const { status, json } = await harness.client.get("/audit", { accept: "text/html" });
    expect([status, json.code]).toEqual([406, "media_type_unsupported"]);
  });

  it("answer 503 overloaded to the fifth export while four run", async () => {
    await fill(1);
    const { store } = harness;
    const list = store.listCalls.bind(store);
    const held: (() => void)[] = [];
    store.listCalls = async (...args) => {
      await new Promise<void>((resolve) => held.push(resolve));
      return list(...args);
    };
    const four = Array.from({ length: 4 }, () => harness.client.get("/audit", { accept: "text/csv" }));
    await expect.poll(() => held.length).toBe(4);
    const fifth = await harness.client.get("/audit", { accept: "text/csv" });
    expect([fifth.status, fifth.json.code]).toEqual([503, "overloaded"]);
    for (const resume of held) resume();
    expect((await Promise.all(four)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    store.listCalls = list;
    expect((await harness.client.get("/audit", { accept: "text/csv" })).status).toBe(200);
  });

  it("read no further than a reader who stops reading, and end when that reader goes", async () => {
    await fill(500);
    const { store } = harness;
    const page = await store.listCalls({}, 500, null);
    let pages = 0;
    store.listCalls = async () => {
      pages += 1;
      return { items: page.items, cursor: "endless" };
    };
    const { port } = new URL(harness.url);
    const head = `GET /audit HTTP/1.1\r\nhost: x\r\naccept: text/csv\r\nauthorization: Bearer ${ADMIN_KEY}\r\n\r\n`;
    const readers = Array.from({ length: 4 }, () => connect(Number(port), "127.0.0.1").pause());
    for (const reader of readers) reader.write(head);
    let before = -1;
    await expect
      .poll(
        () => {
          const still = pages === before && pages > 0;
          before = pages;
          return still;
        },
        { interval: 200, timeout: 20_000 },
      )
      .toBe(true);
    // What the kernel's socket buffers took, some MB each, of four exports without end.
    expect(pages).toBeLessThan(1000);
    store.listCalls = async () => ({ items: page.items, cursor: null });
    const status = async () => (await harness.client.get("/audit", { accept: "text/csv" })).status;
    expect(await status()).toBe(503);
    for (const reader of readers) reader.destroy();
    await expect.poll(status).toBe(200);
  });

  it("cut the connection when the store fails half way, so that nobody takes half for whole", async () => {
    await fill(1203);
    const { store } = harness;
    const list = store.listCalls.bind(store);
    let pages = 0;
    store.listCalls = (...args) => {
      pages += 1;
      if (pages > 1) return Promise.reject(new Error("the disk is gone"));
      return list(...args);
    };
    await expect(harness.client.get("/audit", { accept: "application/x-ndjson" })).rejects.toThrow();
    expect(harness.logged.join()).toContain("control plane failed");
  });
});

describe("GET /audit/summary answers 200", () => {
  beforeEach(async () => {
    const { keyId } = await issueKey(harness, "bill", { execution: "exec-9" });
    for (const task of [10, 2, 2]) await makeCall(harness, keyId, "settled", { task, attempt: 0 });
    await makeCall(harness, keyId, "unknown", { task: 2, attempt: 0 });
    await makeCall(harness, keyId, "released", { endpoint: "POST /v1/refunds" });
  });

  it("by task, in the order of the numbers, what has none last", async () => {
    const { json } = await harness.client.get("/audit/summary?label=bill&group_by=task");
    expect(
      (json.groups as Row[]).map((group) => [group.key, group.calls, group.spent_usd, group.reserved_micros]),
    ).toEqual([
      ["2", 3, "80.00", 40_000_000],
      ["10", 1, "40.00", 0],
      [null, 1, "0.00", 0],
    ]);
  });

  it.each([
    ["vendor", ["stripe"]],
    ["endpoint", ["stripe:POST /v1/payment_intents", "stripe:POST /v1/refunds"]],
    ["execution", ["exec-9"]],
  ])("by %s", async (grouping, keys) => {
    const { json } = await harness.client.get(`/audit/summary?label=bill&group_by=${grouping}`);
    const groups = json.groups as Row[];
    expect(groups.map((group) => group.key)).toEqual(keys);
    expect(groups.reduce((sum, group) => sum + Number(group.spent_micros), 0)).toBe(120_000_000);
    expect(groups.reduce((sum, group) => sum + Number(group.calls), 0)).toBe(5);
  });

  it.each(["vendor", "endpoint"])(
    "by %s, without a name for what was refused before it was known",
    async (grouping) => {
      const { keyId } = await issueKey(harness, "early");
      harness.ledger.refused(keyId, {
        code: "endpoint_not_allowed",
        vendor: "",
        endpoint: "",
        method: "POST",
        path: "",
        task: null,
        attempt: null,
      });
      await expect.poll(() => rows("label=early")).toHaveLength(1);
      const { json } = await harness.client.get(`/audit/summary?label=early&group_by=${grouping}`);
      expect((json.groups as Row[]).map((group) => [group.key, group.calls, group.refused])).toEqual([[null, 0, 1]]);
    },
  );

  it("and 400 to another grouping", async () => {
    const { json } = await harness.client.get("/audit/summary?group_by=day");
    expect(json.message).toMatch(/`group_by` must be one of task, vendor, endpoint, execution/);
  });
});
