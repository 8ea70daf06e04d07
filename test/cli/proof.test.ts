/**
 * Goal: `keybrake keys proof` believes no word of the proxy: a record that is missing, changed or added is found on this machine.
 * Method: chains made by the ledger's own code, tampered with in one place each, served by a loopback control plane.
 * Limit: a proxy that rewrites the whole chain is found only with a head kept elsewhere, as the last tests show.
 */
import { afterEach, describe, expect, it } from "vitest";
import { GENESIS, link } from "../../service/ledger/chain.ts";
import type { ChainRecord } from "../../service/ledger/types.ts";
import { ADMIN_KEY, type LoopbackControl, startLoopbackControl } from "./loopback-control.ts";
import { type CliResult, runCli } from "./run-cli.ts";

const keyId = "c".repeat(26);
const DOLLAR = 1_000_000;

/** Issue, then `calls` calls of $40, each reserved and settled. */
function chain(calls: number, reason = "issued"): ChainRecord[] {
  const records: ChainRecord[] = [];
  const add = (act: ChainRecord["act"], reservedMicros: number, spentMicros: number, callId: string | null): void => {
    const operator = callId === null;
    records.push(
      link(records.at(-1)?.hash ?? GENESIS, {
        n: records.length,
        at: 1_795_330_000_000 + records.length,
        act,
        callId,
        reservedMicros,
        spentMicros,
        capMicros: operator ? 500 * DOLLAR : null,
        by: operator ? "admin key" : null,
        reason: operator ? reason : null,
      }),
    );
  };
  add("issue", 0, 0, null);
  for (let call = 0; call < calls; call += 1) {
    add("reserve", 40 * DOLLAR, 0, `c${call}`);
    add("settle", -40 * DOLLAR, 40 * DOLLAR, `c${call}`);
  }
  return records;
}

function line(record: ChainRecord): Record<string, unknown> {
  const { n, at, act, by, reason, hash } = record;
  const { callId: call_id, reservedMicros: reserved_micros, spentMicros: spent_micros, capMicros: cap_micros } = record;
  return { n, at, act, call_id, reserved_micros, spent_micros, cap_micros, by, reason, hash };
}

function end(records: ChainRecord[], balance: Record<string, number> = {}): Record<string, unknown> {
  const spent = records.reduce((sum, record) => sum + record.spentMicros, 0);
  const reserved = records.reduce((sum, record) => sum + record.reservedMicros, 0);
  return {
    key_id: keyId,
    label: "billing-1",
    records: records.length,
    balance: { spent_micros: spent, reserved_micros: reserved, ...balance },
    chain_head: records.at(-1)?.hash,
    verified: true,
    fault: null,
  };
}

let control: LoopbackControl | null = null;
afterEach(async () => {
  await control?.stop();
});

async function prove(lines: readonly unknown[], args: string[] = []): Promise<CliResult> {
  control = await startLoopbackControl((_, response) => {
    response.writeHead(200, { "content-type": "application/x-ndjson" });
    response.end(lines.map((each) => `${JSON.stringify(each)}\n`).join(""));
  });
  const env = { KEYBRAKE_URL: control.url, KEYBRAKE_ADMIN_KEY: ADMIN_KEY };
  return runCli(["keys", "proof", keyId, ...args], { env });
}

describe("a chain past the retention", () => {
  it("proves nothing: the result says why, with exit code 1", async () => {
    const result = await prove([{ ...end(chain(2)), verified: false, retention_passed: true }], ["--json"]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/past the proxy's retention/);
    expect(JSON.parse(result.stdout)).toMatchObject({ verified: false, fault: null, retention_passed: true });
  });

  it("is a proof like any other as soon as it has a record", async () => {
    const records = chain(2).map(line);
    records[2] = { ...records[2], spent_micros: 1 };
    const result = await prove([...records, { ...end(chain(2)), retention_passed: true }]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringContaining("record 2 does not match its hash") });
  });
});

describe("a chain that is whole", () => {
  it("is verified, added up, and exits 0", async () => {
    const records = chain(700);
    const result = await prove([...records.map(line), end(records)]);
    expect(result).toMatchObject({ code: 0, stderr: "" });
    expect(JSON.parse(result.stdout)).toEqual({
      key_id: keyId,
      label: "billing-1",
      verified: true,
      fault: null,
      retention_passed: false,
      records: 1401,
      spent_usd: "28000.00",
      reserved_usd: "0.00",
      chain_head: records.at(-1)?.hash,
    });
    expect(control?.seen[0]).toMatchObject({ target: `/vault/keys/${keyId}/proof`, accept: "application/x-ndjson" });
  });

  it("--records prints every record before the result", async () => {
    const records = chain(2);
    const { stdout } = await prove([...records.map(line), end(records)], ["--records"]);
    const lines = stdout
      .trimEnd()
      .split("\n")
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(lines.slice(0, -1)).toEqual(records.map(line));
    expect(lines.at(-1)).toMatchObject({ verified: true });
  });
});

describe("a chain that was tampered with", () => {
  const honest = chain(3);
  const changed = (index: number, fields: Partial<ChainRecord>) =>
    honest.map((record, at) => (at === index ? { ...record, ...fields } : record));
  it.each([
    { what: "a record is missing", records: honest.filter((_, at) => at !== 2), says: /record 2 is missing/ },
    { what: "the last record is missing", records: honest.slice(0, -1), says: /not the head/ },
    { what: "an amount was changed", records: changed(2, { spentMicros: DOLLAR }), says: /record 2 does not match/ },
    { what: "a reason was changed", records: changed(0, { reason: "gift" }), says: /record 0 does not match/ },
    { what: "an amount became text", records: changed(2, { spentMicros: "1" as unknown as number }), says: /record 2/ },
    {
      what: "a record is there twice",
      records: [...honest.slice(0, 3), ...honest.slice(2)],
      says: /record 3 is missing/,
    },
  ])("$what: exit 1, and what is wrong is said", async ({ records, says }) => {
    const result = await prove([...records.map(line), end(honest)]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(says);
    expect(JSON.parse(result.stdout)).toMatchObject({ verified: false });
  });

  it("a balance that the records do not add up to is found, though the proxy calls it verified", async () => {
    const result = await prove([...honest.map(line), end(honest, { spent_micros: 1 })]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/do not add up to what the key has spent/);
  });

  it("an answer without its last line proves nothing", async () => {
    const result = await prove(honest.map(line));
    expect(result).toMatchObject({ code: 1, stdout: "" });
    expect(result.stderr).toMatch(/cut before its end/);
  });
});

describe("a head kept elsewhere", () => {
  it("is found in a chain that has grown since", async () => {
    const records = chain(3);
    const result = await prove([...records.map(line), end(records)], ["--head", records[2]?.hash ?? ""]);
    expect(result.code).toBe(0);
  });

  it("is missing from a chain that was written anew, which verifies by itself", async () => {
    const kept = chain(3).at(-1)?.hash ?? "";
    const rewritten = chain(3, "another reason");
    expect((await prove([...rewritten.map(line), end(rewritten)])).code).toBe(0);
    await control?.stop();
    const result = await prove([...rewritten.map(line), end(rewritten)], ["--head", kept]);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/the head you kept is not in the chain/);
  });
});
