/**
 * Goal: one call with its transitions, an operator's decisions on it, and the proof of a balance.
 * Method: calls driven through the real ledger, read over a real socket; a proof is recomputed here from its own description.
 * Limit: an edit of the chain is made in what the store hands out, not in a file.
 */
import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Harness, issueKey, makeCall, startControl, stripe } from "./harness.ts";

let harness: Harness;

beforeEach(async () => {
  harness = await startControl([stripe]);
});
afterEach(() => harness.close());

type Row = Record<string, unknown>;

describe("GET /calls/{call_id}", () => {
  it("answers 200 with its transitions in order", async () => {
    const { keyId } = await issueKey(harness, "call");
    const call = await makeCall(harness, keyId, "settled");
    const { status, json } = await harness.client.get(`/calls/${call.id}`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ call_id: call.id, state: "settled", transitions_left_off: 0 });
    const transitions = json.transitions as Row[];
    expect(transitions.map(({ act, reserved_micros, spent_micros }) => [act, reserved_micros, spent_micros])).toEqual([
      ["reserve", 40_000_000, 0],
      ["settle", -40_000_000, 40_000_000],
    ]);
    expect(transitions.every((record) => record.call_id === call.id)).toBe(true);
  });

  it("answers 404 for a call that is not there", async () => {
    for (const id of ["call_nothing", "x", "%2e%2e"]) {
      const { status, json } = await harness.client.get(`/calls/${id}`);
      expect([status, json.code]).toEqual([404, "not_found"]);
    }
  });
});

describe("POST /calls/{call_id}/settle and /release", () => {
  it("answer 200: the operator's word moves the balance, and is chained with who and why", async () => {
    const { keyId } = await issueKey(harness, "decide");
    const [one, two] = [await makeCall(harness, keyId, "unknown"), await makeCall(harness, keyId, "unknown")];
    const settled = await harness.client.post(`/calls/${one.id}/settle`, {
      cost_usd: "12.3456",
      reason: "pi_1 in the books",
    });
    expect(settled.json).toMatchObject({
      state: "settled",
      cost_usd: "12.3456",
      cost_micros: 12_345_600,
      reserved_micros: 0,
    });
    expect((settled.json.transitions as Row[]).at(-1)).toMatchObject({
      act: "settle_by_hand",
      by: "admin key",
      reason: "pi_1 in the books",
    });
    const released = await harness.client.post(`/calls/${two.id}/release`, { reason: "not in the books" });
    expect(released.json).toMatchObject({ state: "released", cost_micros: 0, reserved_micros: 0 });
    expect((await harness.client.get(`/vault/keys/${keyId}`)).json).toMatchObject({
      spent_micros: 12_345_600,
      reserved_micros: 0,
    });
  });

  it("answer 409 call_state unless the call is unknown", async () => {
    const { keyId } = await issueKey(harness, "states");
    for (const outcome of ["settled", "released", null] as const) {
      const call = await makeCall(harness, keyId, outcome);
      const settle = await harness.client.post(`/calls/${call.id}/settle`, { cost_usd: 1, reason: "r" });
      const release = await harness.client.post(`/calls/${call.id}/release`, { reason: "r" });
      expect([settle.status, settle.json.code, release.status, release.json.code]).toEqual([
        409,
        "call_state",
        409,
        "call_state",
      ]);
    }
  });

  it.each<[string, string, unknown]>([
    ["settle without a cost", "settle", { reason: "r" }],
    ["settle without a reason", "settle", { cost_usd: 1 }],
    ["settle at less than a micro-dollar", "settle", { cost_usd: "0.0000001", reason: "r" }],
    ["settle at a negative cost", "settle", { cost_usd: -1, reason: "r" }],
    ["release with an empty reason", "release", { reason: "" }],
    ["release with a cost", "release", { cost_usd: 1, reason: "r" }],
    ["release without a body", "release", undefined],
  ])("answer 400 to %s", async (_what, act, body) => {
    const { keyId } = await issueKey(harness, "invalid");
    const call = await makeCall(harness, keyId, "unknown");
    const { status, json } = await harness.client.post(`/calls/${call.id}/${act}`, body);
    expect([status, json.code]).toEqual([400, "request_invalid"]);
    expect((await harness.client.get(`/calls/${call.id}`)).json.state).toBe("unknown");
  });
});

describe("GET /vault/keys/{key_id}/proof", () => {
  async function busyKey(): Promise<string> {
    const { keyId } = await issueKey(harness, "proved");
    await Promise.all(
      Array.from({ length: 120 }, (_, index) =>
        makeCall(harness, keyId, (["settled", "released", "unknown"] as const)[index % 3]!, { quoteMicros: 1_000_000 }),
      ),
    );
    await harness.client.post(`/vault/keys/${keyId}/raise`, { usd_cap: 600 });
    return keyId;
  }

  it("answers 200 with records that anybody can check by the description alone", async () => {
    const keyId = await busyKey();
    const { json } = await harness.client.get(`/vault/keys/${keyId}/proof`);
    const records = json.calls as Row[];
    let head = "0".repeat(64);
    for (const { n, at, act, call_id, reserved_micros, spent_micros, cap_micros, by, reason, hash } of records) {
      const text = JSON.stringify([n, at, act, call_id, reserved_micros, spent_micros, cap_micros, by, reason]);
      head = createHash("sha256").update(`${head}\n${text}`).digest("hex");
      expect(hash).toBe(head);
    }
    const sum = (field: string) => records.reduce((total, record) => total + Number(record[field]), 0);
    expect(json).toMatchObject({
      verified: true,
      fault: null,
      chain_head: head,
      records: records.length,
      balance: {
        cap_micros: 600_000_000,
        spent_usd: "40.00",
        spent_micros: sum("spent_micros"),
        reserved_usd: "40.00",
        reserved_micros: sum("reserved_micros"),
      },
    });
    expect(records).toHaveLength(1 + 240 + 1);
  });

  it("as NDJSON has one record a line, and the balance in the last", async () => {
    const keyId = await busyKey();
    const { text } = await harness.client.get(`/vault/keys/${keyId}/proof`, { accept: "application/x-ndjson" });
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Row);
    expect(lines).toHaveLength(243);
    expect(lines.at(-1)).toMatchObject({ verified: true, records: 242, balance: { spent_micros: 40_000_000 } });
  });

  // Pages are read two at a time: with an even and an odd number of them the growth falls behind and into the last read.
  it.each([0, 1])("is one snapshot while the chain grows (%i pages more)", async (more) => {
    const keyId = await busyKey();
    if (more > 0) await harness.client.post(`/vault/keys/${keyId}/pause`);
    if (more > 0) await harness.client.post(`/vault/keys/${keyId}/resume`);
    if (more > 0) await harness.client.post(`/vault/keys/${keyId}/raise`, { usd_cap: 601 });
    const { store } = harness;
    const list = store.listPages.bind(store);
    let read = 0;
    store.listPages = async (...args) => {
      read += 1;
      await makeCall(harness, keyId, "settled", { quoteMicros: 10_000 });
      return list(...args);
    };
    const { json } = await harness.client.get(`/vault/keys/${keyId}/proof`);
    expect(read).toBeGreaterThan(1);
    expect(json).toMatchObject({ verified: true, records: 242 + 3 * more });
  });

  it.each<[string, (record: { n: number; spentMicros: number }) => boolean, string]>([
    [
      "an edited record",
      (record) => {
        if (record.n === 5) record.spentMicros += 1;
        return true;
      },
      "record 5 does not match its hash",
    ],
    ["a missing record", (record) => record.n !== 5, "record 5 is missing"],
    ["a missing end", (record) => record.n < 200, "the chain ends after 200 of 242 records"],
  ])("says so of %s", async (_what, keep, fault) => {
    const keyId = await busyKey();
    const { store } = harness;
    const list = store.listPages.bind(store);
    store.listPages = async (...args) =>
      (await list(...args)).map((page) => ({ ...page, records: page.records.filter(keep) }));
    const { json } = await harness.client.get(`/vault/keys/${keyId}/proof`);
    expect(json.verified).toBe(false);
    expect(json.fault).toContain(fault);
    expect(harness.logged.join()).toContain("hash chain does not verify");
  });

  it("answers 404 for a key that is not there", async () => {
    expect((await harness.client.get(`/vault/keys/${"d".repeat(26)}/proof`)).status).toBe(404);
  });
});
