import { describe, expect, test } from "vitest";
import type { DocId } from "../../service/ledger/types.ts";
import { docAs, type Store, type Write } from "../../service/stores/store.ts";
import { create, KeyWriter, START, sampleCall, sampleKey, samplePage } from "./samples.ts";

export function commitContract(store: () => Store): void {
  describe("a commit", () => {
    atomicity(store);
    versions(store);
  });
}

function atomicity(store: () => Store): void {
  test("keeps the key, the documents and the page", async () => {
    const key = new KeyWriter(store(), "k1", { label: "nightly ✓ 日本 \u0000 \ud83d\ude80" });
    const call = sampleCall("c1", { path: "/é/\u2028" });
    await key.write([create(call), { op: "create", id: "a:x", doc: { callId: "c1" } }], samplePage("k1", 1, 2));
    const snapshot = await store().read("k1", ["c:c1", "a:x", "o:none"]);
    expect(snapshot).toEqual({
      state: key.state,
      version: key.version,
      docs: new Map<DocId, unknown>([
        ["c:c1", call],
        ["a:x", { callId: "c1" }],
      ]),
    });
    expect(await store().listPages("k1", 1, 10)).toEqual([samplePage("k1", 1, 2)]);
  });

  test("that creates documents which exist writes nothing and names all of them", async () => {
    const other = new KeyWriter(store(), "k0");
    await other.write([
      create(sampleCall("c1")),
      { op: "create", id: "r:c1", doc: { sealed: "s", expiresAt: START } },
      { op: "create", id: "u:m", doc: { count: 0, callId: "" } },
    ]);
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const writes: Write[] = [
      create(sampleCall("new")),
      create(sampleCall("c1", { keyId: "k1", state: "settled" })),
      { op: "put", id: "o:owned", doc: { callId: "new" } },
      { op: "create", id: "r:c1", doc: { sealed: "other", expiresAt: START } },
      { op: "create", id: "u:m", doc: { count: 1, callId: "new" } },
    ];
    const result = await store().commit("k1", key.next(writes, samplePage("k1", 1, 1)));
    expect(result.kind).toBe("exists");
    expect(result.kind === "exists" && [...result.ids].sort()).toEqual(["c:c1", "r:c1", "u:m"]);
    const after = await store().read("k1", ["c:new", "c:c1", "o:owned", "r:c1", "u:m"]);
    expect(after?.version).toBe(key.version);
    expect(after?.state).toEqual(key.state);
    expect([...(after?.docs.keys() ?? [])].sort()).toEqual(["c:c1", "r:c1", "u:m"]);
    expect(after && docAs(after.docs, "c", "c1")?.state).toBe("reserved");
    expect(after && docAs(after.docs, "r", "c1")?.sealed).toBe("s");
    expect(await store().listPages("k1", 1, 10)).toEqual([]);
    await key.write([create(sampleCall("new"))]);
  });

  test("takes no notice of what the caller changes afterwards, and neither does a read's result reach the store", async () => {
    const key = new KeyWriter(store(), "k1");
    const call = sampleCall("c1");
    const commit = key.next([create(call)]);
    const committing = store().commit("k1", commit);
    call.state = "settled";
    commit.state.spentMicros = 7;
    await committing;
    const first = await store().read("k1", ["c:c1"]);
    expect(first?.state.spentMicros).toBe(0);
    const found = first && docAs(first.docs, "c", "c1");
    expect(found?.state).toBe("reserved");
    if (found) found.state = "settled";
    const second = await store().read("k1", ["c:c1"]);
    expect(second && docAs(second.docs, "c", "c1")?.state).toBe("reserved");
  });
}

function versions(store: () => Store): void {
  test("of a new key conflicts when the key exists, and writes nothing", async () => {
    await new KeyWriter(store(), "k1").write();
    const again = {
      version: null,
      state: sampleKey("k1", { spentMicros: 5 }),
      page: null,
      writes: [create(sampleCall("c1"))],
    };
    expect(await store().commit("k1", again)).toEqual({ kind: "conflict" });
    const after = await store().read("k1", ["c:c1"]);
    expect(after?.state.spentMicros).toBe(0);
    expect(after?.docs.size).toBe(0);
  });

  test("at a version that is over conflicts, and writes nothing", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const late = key.next([create(sampleCall("late"))], samplePage("k1", 1, 1));
    await key.write();
    expect(await store().commit("k1", late)).toEqual({ kind: "conflict" });
    expect((await store().read("k1", ["c:late"]))?.docs.size).toBe(0);
    expect((await store().read("k1", []))?.version).toBe(key.version);
    expect(await store().listPages("k1", 1, 10)).toEqual([]);
  });

  test("at a version of a key that does not exist conflicts", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const commit = { ...key.next([]), state: sampleKey("k2") };
    expect(await store().commit("k2", commit)).toEqual({ kind: "conflict" });
    expect(await store().read("k2", [])).toBeNull();
  });

  test("changes the version even when it changes nothing else", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const before = key.version;
    await store().commit("k1", { version: before, state: key.state, page: null, writes: [] });
    expect((await store().read("k1", []))?.version).not.toBe(before);
  });

  test("wins alone: of 64 at one version one applies, and only its documents are there", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const ids = Array.from({ length: 64 }, (_, index) => `c${index}`);
    const results = await Promise.all(ids.map((id) => store().commit("k1", key.next([create(sampleCall(id))]))));
    expect(results.filter((result) => result.kind === "committed")).toHaveLength(1);
    expect(results.filter((result) => result.kind === "conflict")).toHaveLength(63);
    const winner = ids[results.findIndex((result) => result.kind === "committed")];
    const after = await store().read(
      "k1",
      ids.map((id): DocId => `c:${id}`),
    );
    expect([...(after?.docs.keys() ?? [])]).toEqual([`c:${winner}`]);
  });

  test("of a new key wins alone: of 64 that make it one applies", async () => {
    const results = await Promise.all(
      Array.from({ length: 64 }, (_, index) => new KeyWriter(store(), "k1", { token: `t${index}` }).next([])).map(
        (each) => store().commit("k1", each),
      ),
    );
    expect(results.filter((result) => result.kind === "committed")).toHaveLength(1);
    const winner = results.findIndex((result) => result.kind === "committed");
    expect((await store().read("k1", []))?.state.token).toBe(`t${winner}`);
  });

  test("of one key fails without its neighbours: conflict, exists and committed side by side", async () => {
    const keys = ["k1", "k2", "k3", "k4"].map((id) => new KeyWriter(store(), id));
    for (const key of keys) await key.write();
    const [k1, k2, k3, k4] = keys as [KeyWriter, KeyWriter, KeyWriter, KeyWriter];
    const call = (id: string, keyId: string) => create(sampleCall(id, { keyId }));
    await k4.write([call("old", "k4")]);
    const stale = k2.next([call("c2", "k2")]);
    await k2.write();
    const results = await Promise.all([
      store().commit("k1", k1.next([call("c1", "k1")])),
      store().commit("k2", stale),
      store().commit("k3", k3.next([call("c3", "k3"), call("old", "k3")])),
      store().commit("k4", k4.next([call("c4", "k4")])),
    ]);
    expect(results.map((result) => result.kind)).toEqual(["committed", "conflict", "exists", "committed"]);
    const after = await store().read("k1", ["c:c1", "c:c2", "c:c3", "c:c4"]);
    expect([...(after?.docs.keys() ?? [])]).toEqual(["c:c1", "c:c4"]);
  });
}
