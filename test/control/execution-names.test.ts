/**
 * Goal: a run is found by its key's label and by its execution's name alike, also the calls that were made before the key was bound
 * to the execution; pages stay right meanwhile, and nobody sees more by a name than without. Method: keys bound through the real
 * ledger after their first calls, read over a real socket. Limit: the store in memory stands for the others, which pass one contract.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ControlClient } from "../support/control-client.ts";
import { ADMIN_KEY, type Harness, issueKey, makeCall, startControl, stripe } from "./harness.ts";

const EXECUTION = "billing-x7k2p";
const LABEL = "billing/run-1";

let harness: Harness;
let keyId: string;

type Row = Record<string, unknown>;
const get = async (path: string): Promise<Row> => (await harness.client.get(path)).json;
const rows = async (query: string): Promise<Row[]> => (await get(`/audit?${query}`)).calls as Row[];
const bind = (id: string, execution: string) => harness.ledger.act(id, { act: "bind", execution, by: "setup" });

beforeEach(async () => {
  harness = await startControl([stripe]);
  keyId = (await issueKey(harness, LABEL)).keyId;
  await makeCall(harness, keyId, "settled", { task: 0, attempt: 0 });
  await makeCall(harness, keyId, "released", { task: 1, attempt: 0 });
  await bind(keyId, EXECUTION);
  await makeCall(harness, keyId, "settled", { task: 2, attempt: 0 });
  const other = await issueKey(harness, "billing/run-2");
  await makeCall(harness, other.keyId, "settled");
});
afterEach(() => harness.close());

describe("the audit", () => {
  it.each([`label=${EXECUTION}`, `execution=${EXECUTION}`, `label=${LABEL}`, `label=${LABEL}&execution=${EXECUTION}`])(
    "finds all calls of the run by %s, and names the execution in each",
    async (query) => {
      const found = await rows(query);
      expect(found.map((row) => [row.task_index, row.label, row.execution])).toEqual([
        [2, LABEL, EXECUTION],
        [1, LABEL, EXECUTION],
        [0, LABEL, EXECUTION],
      ]);
    },
  );

  it("names the execution also when nothing is asked for by name, and none where there is none", async () => {
    expect((await rows("")).map((row) => [row.task_index, row.execution])).toEqual([
      [null, null],
      [2, EXECUTION],
      [1, EXECUTION],
      [0, EXECUTION],
    ]);
  });

  it.each<[string, number]>([
    [`execution=${EXECUTION}&state=settled`, 2],
    [`execution=${EXECUTION}&task_index=0`, 1],
    [`execution=${LABEL}`, 0],
    [`label=billing/run-2&execution=${EXECUTION}`, 0],
    ["execution=nobody", 0],
    ["label=nobody", 0],
  ])("%s finds %i", async (query, count) => {
    expect(await rows(query)).toHaveLength(count);
  });

  it("takes key_id together with a name", async () => {
    expect(await rows(`execution=${EXECUTION}&key_id=${keyId}`)).toHaveLength(3);
    expect(await rows(`execution=${EXECUTION}&key_id=${"a".repeat(26)}`)).toHaveLength(0);
    expect(await rows(`label=billing/run-2&key_id=${keyId}`)).toHaveLength(0);
  });

  it("in pages of one shows each call once, though calls come in between and another key is bound", async () => {
    const seen: unknown[] = [];
    let cursor: unknown = null;
    do {
      const query = `execution=${EXECUTION}&limit=1${cursor === null ? "" : `&cursor=${String(cursor)}`}`;
      const page = await get(`/audit?${query}`);
      const calls = page.calls as Row[];
      seen.push(...calls.map((row) => row.task_index));
      cursor = page.next_cursor;
      await makeCall(harness, keyId, "settled", { task: 10 + seen.length, attempt: 0 });
      if (seen.length === 1) await bind((await issueKey(harness, "late")).keyId, EXECUTION);
    } while (cursor !== null);
    expect(seen).toEqual([2, 1, 0]);
  });

  it("as NDJSON and as CSV names the execution in each row", async () => {
    for (const accept of ["application/x-ndjson", "text/csv"]) {
      const { text } = await harness.client.get(`/audit?label=${LABEL}`, { accept });
      const lines = text
        .trim()
        .split("\n")
        .slice(accept === "text/csv" ? 1 : 0);
      expect(lines).toHaveLength(3);
      for (const line of lines) expect(line).toContain(EXECUTION);
    }
  });

  it("refuses a cursor that it never gave out, whatever the name", async () => {
    for (const name of [EXECUTION, "nobody"]) {
      const { status } = await harness.client.get(`/audit?label=${name}&cursor=nonsense`);
      expect(status).toBe(400);
    }
  });

  it("finds the calls of a label that more keys have than one listing merges", async () => {
    const issue = async (n: number) => {
      const { key } = await harness.ledger.issue({
        owner: `policy:p${n}`,
        label: "shared",
        execution: n === 7 ? "exec-7" : null,
        asked: "{}",
        scope: {
          vendors: ["stripe"],
          allowedEndpoints: ["*"],
          accounts: [],
          perCallMicros: null,
          callsPerMinute: null,
          maxCalls: null,
          concurrency: 10,
          assumeMicros: null,
        },
        capMicros: 100_000_000,
        dailyCapMicros: null,
        expiresAt: harness.clock.now() + 3_600_000,
        pepperVersion: 1,
        by: "t",
      });
      await makeCall(harness, key.keyId, "settled");
    };
    for (let n = 0; n < 40; n += 1) await issue(n);
    expect(await rows("label=shared&limit=1000")).toHaveLength(40);
    expect(await rows("label=shared&execution=exec-7&limit=1000")).toHaveLength(1);
  });
});

describe("the summary", () => {
  it("by execution counts the calls from before the bind with those after it", async () => {
    const { groups } = await get("/audit/summary?group_by=execution");
    expect(groups).toMatchObject([
      { key: EXECUTION, calls: 3, settled: 2, released: 1, spent_usd: "80.00" },
      { key: null, calls: 1, settled: 1 },
    ]);
  });

  it("of an execution is the bill of its run", async () => {
    const { groups } = await get(`/audit/summary?label=${EXECUTION}&group_by=vendor`);
    expect(groups).toMatchObject([{ key: "stripe", calls: 3, spent_usd: "80.00" }]);
  });
});

describe("a key and a call", () => {
  it("are found by the execution's name, and name it", async () => {
    const { keys } = await get(`/vault/keys?label=${EXECUTION}`);
    expect(keys).toMatchObject([{ key_id: keyId, label: LABEL, execution: EXECUTION, reduced: [] }]);
    const [first] = (await rows(`label=${LABEL}&task_index=0`)) as [Row];
    expect(await get(`/calls/${String(first.call_id)}`)).toMatchObject({ execution: EXECUTION, task_index: 0 });
  });

  it("show the bind in the proof", async () => {
    const proof = await get(`/vault/keys/${keyId}/proof`);
    expect(proof).toMatchObject({ verified: true, retention_passed: false });
    const binds = (proof.calls as Row[]).filter((record) => record.act === "bind");
    expect(binds).toMatchObject([{ by: "setup", reason: EXECUTION, call_id: null }]);
  });
});

describe("a principal that sees its own only", () => {
  it("finds nothing by the name of another's execution", async () => {
    const limited = {
      owner: "policy:other",
      by: "job@example",
      may: new Set(["read"] as const),
      sees: "policy:other",
      policy: null,
      account: null,
    };
    const shared = await startControl([stripe], {
      store: harness.store,
      ledger: harness.ledger,
      authenticate: [async (bearer) => (bearer === ADMIN_KEY ? limited : null)],
    });
    for (const query of [`label=${EXECUTION}`, `execution=${EXECUTION}`, `key_id=${keyId}`, `label=${LABEL}`, ""]) {
      expect((await shared.client.get(`/audit?${query}`)).json.calls, query).toEqual([]);
    }
    expect((await shared.client.get(`/audit/summary?label=${EXECUTION}`)).json.groups).toEqual([]);
    expect((await shared.client.get(`/vault/keys?label=${EXECUTION}`)).json.keys).toEqual([]);
    expect((await new ControlClient(shared.url, ADMIN_KEY).get(`/vault/keys/${keyId}`)).status).toBe(404);
    await shared.close();
  });
});
