/**
 * Goal: a policy holds as it is now; who is in two, or in a wrong one, gets nothing, and the log says why without being filled.
 * Method: policies in memory and in a file, changed between two uses. Limit: Firestore's own documents are the store's suite.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { createLogger } from "../../service/log.ts";
import { Policies } from "../../service/policies/policies.ts";
import { checkPoliciesFile, PoliciesFile } from "../../service/policies/policies-file.ts";
import type { PolicyDocs } from "../../service/stores/store.ts";
import { stripe } from "../control/harness.ts";
import { jobDoc, MemoryPolicies, OPERATOR, policyDoc, SCHEDULER, TASKS } from "./fixture.ts";

const vendors = new Map([[stripe.id, stripe]]);
let logged: Record<string, unknown>[];
let now: number;
const log = createLogger({ write: (line) => logged.push(JSON.parse(line)) });

function open(docs: PolicyDocs): Policies {
  return new Policies({ docs, vendors, clock: { now: () => now }, log });
}

beforeEach(() => {
  logged = [];
  now = 0;
});

describe("policies", () => {
  test("are found by id, and by e-mail or number of a principal", async () => {
    const docs = new MemoryPolicies();
    docs.docs.set("nightly", jobDoc());
    docs.docs.set("ops", policyDoc([{ sub: "77", may: ["read"] }]));
    const policies = open(docs);
    expect((await policies.byId("nightly"))?.job?.service_account).toBe(TASKS);
    expect((await policies.ofCaller(SCHEDULER, "1"))?.id).toBe("nightly");
    expect((await policies.ofCaller(OPERATOR, "77"))?.id).toBe("ops");
    expect(await policies.byId("weekly")).toBeNull();
    expect(await policies.ofCaller("eve@example.com", "2")).toBeNull();
  });

  test("are read at each use, so that a change holds at once", async () => {
    const docs = new MemoryPolicies();
    docs.docs.set("ops", policyDoc([{ email: OPERATOR, may: ["read"] }]));
    const policies = open(docs);
    expect((await policies.ofCaller(OPERATOR, "1"))?.principals[0]?.may).toEqual(["read"]);
    docs.docs.set("ops", policyDoc([{ email: OPERATOR, may: ["read", "pause"] }]));
    expect((await policies.ofCaller(OPERATOR, "1"))?.principals[0]?.may).toEqual(["read", "pause"]);
    docs.docs.delete("ops");
    expect(await policies.ofCaller(OPERATOR, "1")).toBeNull();
  });

  test("give nothing to a principal of two of them, found by the same name or by two names", async () => {
    for (const second of [{ email: OPERATOR }, { sub: "77" }]) {
      const docs = new MemoryPolicies();
      docs.docs.set("ops", policyDoc([{ email: OPERATOR, may: ["read"] }]));
      docs.docs.set("more", policyDoc([{ ...second, may: ["raise"] }]));
      await expect(open(docs).ofCaller(OPERATOR, "77")).rejects.toThrow(/^policy_denied: .* more and ops;/);
    }
    expect(logged.map(({ severity }) => severity)).toEqual(["ERROR", "ERROR"]);
  });

  test("that are wrong give nothing, and the log names the fault once a minute", async () => {
    const docs = new MemoryPolicies();
    docs.docs.set("nightly", jobDoc({ budget: undefined }));
    const policies = open(docs);
    for (let use = 0; use < 100; use += 1) {
      await expect(policies.byId("nightly")).rejects.toThrow(/^policy_denied: policy `nightly` is wrong/);
    }
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatchObject({
      severity: "ERROR",
      policy: "nightly",
      fault: expect.stringContaining("`budget`"),
    });
    now += 60_000;
    await expect(policies.ofCaller(SCHEDULER, "1")).rejects.toThrow(/^policy_denied/);
    expect(logged).toHaveLength(2);
    docs.docs.set("nightly", jobDoc());
    expect((await policies.byId("nightly"))?.id).toBe("nightly");
  });

  test("are not looked for under an id that none can have", async () => {
    const docs = new MemoryPolicies();
    expect(await open(docs).byId("../settings/admin")).toBeNull();
    expect(docs.reads).toBe(0);
  });
});

describe("policies in a file", () => {
  const directory = mkdtempSync(join(tmpdir(), "keybrake-policies-"));
  const path = join(directory, "policies.json");
  afterAll(() => rmSync(directory, { recursive: true }));
  const put = (text: string) => writeFileSync(path, text);

  test("hold as the file is at each use", async () => {
    const policies = open(new PoliciesFile(path, log));
    put(JSON.stringify({ nightly: jobDoc() }));
    expect((await policies.ofCaller(TASKS, "1"))?.id).toBe("nightly");
    put("{}");
    expect(await policies.ofCaller(TASKS, "1")).toBeNull();
  });

  for (const [name, text] of Object.entries({
    "no JSON": "{",
    "a list": "[]",
    "too large": `"${"x".repeat(1 << 20)}"`,
  })) {
    test(`that is ${name} give nothing to anybody, and stop a start`, async () => {
      put(text);
      const policies = open(new PoliciesFile(path, log));
      await expect(policies.byId("nightly")).rejects.toThrow(/^policy_denied: the proxy's policies cannot be read/);
      expect(logged[0]).toMatchObject({ severity: "ERROR", file: path });
      await expect(checkPoliciesFile(path, vendors)).rejects.toThrow(/^KEYBRAKE_POLICIES: .* cannot be read/);
    });
  }

  test("that is not there stops a start", async () => {
    await expect(checkPoliciesFile(join(directory, "none.json"), vendors)).rejects.toThrow(
      /^KEYBRAKE_POLICIES: .*ENOENT/,
    );
  });

  test("of which one is wrong stops a start, which names it", async () => {
    put(JSON.stringify({ nightly: jobDoc(), weekly: jobDoc({ sees: "all" }) }));
    await expect(checkPoliciesFile(path, vendors)).rejects.toThrow(/the policy weekly is wrong: a job's policy/);
    put(JSON.stringify({ nightly: jobDoc() }));
    await expect(checkPoliciesFile(path, vendors)).resolves.toBeUndefined();
  });
});
