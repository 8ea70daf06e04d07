/** Part of the store contract: small records, alone by compare-and-set and as part of a commit. */
import { describe, expect, test } from "vitest";
import {
  BadCursor,
  type Page,
  type RecordDoc,
  type RecordKind,
  type RecordWrite,
  type Store,
  type StoredRecord,
  type Version,
} from "../../service/stores/store.ts";
import { create, KeyWriter, sampleCall, samplePage } from "./samples.ts";

function run(name: string, version: Version | null, doc: RecordDoc = { state: "pending" }): RecordWrite {
  return { kind: "run", name, doc, version, expiresAt: null };
}

export function recordContract(store: () => Store): void {
  describe("a record", () => {
    alone(store);
    listings(store);
  });
  describe("a commit with records", () => {
    inCommits(store);
    racing(store);
  });
}

function alone(store: () => Store): void {
  test("that does not exist is null", async () => {
    expect(await store().record("run", "none")).toBeNull();
    expect(await store().listRecords("run", 10, null)).toEqual({ items: [], cursor: null });
  });

  test("is given back as it was written, with its version", async () => {
    const doc = { key_id: "k1", n: 7, nested: { list: [1, null, "ü"], none: null }, yes: true, text: "日本 \u2028" };
    const version = await store().putRecord(run("Job_1.a:b@c-d", null, doc));
    expect(await store().record("run", "Job_1.a:b@c-d")).toEqual({ name: "Job_1.a:b@c-d", doc, version });
  });

  test("of a name may be as long as 250 characters; a name that is none is our own error", async () => {
    const long = "x".repeat(250);
    expect(await store().putRecord(run(long, null))).not.toBeNull();
    expect((await store().record("run", long))?.name).toBe(long);
    for (const name of ["", "a/b", "a b", `${long}x`, "é"]) {
      await expect(store().record("run", name), name).rejects.toThrow(RangeError);
      await expect(store().putRecord(run(name, null)), name).rejects.toThrow(RangeError);
    }
  });

  test("is written at its version only, and has another one after each write", async () => {
    const first = await store().putRecord(run("r", null, { n: 1 }));
    expect(await store().putRecord(run("r", null, { n: 2 }))).toBeNull();
    const second = await store().putRecord(run("r", first, { n: 1 }));
    expect(second).not.toBeNull();
    expect(second).not.toBe(first);
    expect(await store().putRecord(run("r", first, { n: 3 }))).toBeNull();
    expect(await store().record("run", "r")).toEqual({ name: "r", doc: { n: 1 }, version: second });
  });

  test("that was read at a version is not made when it does not exist", async () => {
    const version = await store().putRecord(run("one", null));
    expect(await store().putRecord(run("two", version))).toBeNull();
    expect(await store().record("run", "two")).toBeNull();
  });

  test("of one kind knows nothing of one of another kind with the same name", async () => {
    const kinds: RecordKind[] = ["issuer", "run", "execution", "turn", "forced", "policy_day"];
    for (const kind of kinds) {
      expect(
        await store().putRecord({ kind, name: "same", doc: { kind }, version: null, expiresAt: 1 }),
      ).not.toBeNull();
    }
    for (const kind of kinds) expect((await store().record(kind, "same"))?.doc).toEqual({ kind });
  });

  test("wins alone: of 20 that make one name one is written, and of 20 at one version too", async () => {
    for (const before of [null, "what the first round wrote"]) {
      const version = before && ((await store().record("run", "r"))?.version ?? null);
      const numbers = Array.from({ length: 20 }, (_, n) => n);
      const versions = await Promise.all(numbers.map((n) => store().putRecord(run("r", version, { before, n }))));
      expect(versions.filter((each) => each !== null)).toHaveLength(1);
      const n = versions.findIndex((each) => each !== null);
      expect(await store().record("run", "r")).toEqual({ name: "r", doc: { before, n }, version: versions[n] });
    }
  });

  test("takes no notice of what the caller changes afterwards", async () => {
    const doc = { list: [1] };
    const writing = store().putRecord(run("r", null, doc));
    doc.list.push(2);
    await writing;
    const { doc: read } = (await store().record("run", "r"))!;
    (read.list as number[]).push(3);
    expect((await store().record("run", "r"))?.doc).toEqual({ list: [1] });
  });
}

function listings(store: () => Store): void {
  test("is listed by name, in pages that hold while others are added", async () => {
    const names = ["b", "a-1", "Z", "a.1", "a", "_", "c:9", "c:10", "@"];
    for (const name of names) await store().putRecord(run(name, null, { name }));
    await store().putRecord({ kind: "issuer", name: "aa", doc: {}, version: null, expiresAt: null });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<StoredRecord> = await store().listRecords("run", 2, cursor);
      expect(page.items.length).toBeLessThanOrEqual(2);
      for (const { name, doc } of page.items) expect(doc).toEqual({ name });
      seen.push(...page.items.map((each) => each.name));
      cursor = page.cursor;
      // Before all that was listed, and after.
      if (seen.length === 4) for (const name of ["-", "d"]) await store().putRecord(run(name, null, { name }));
    } while (cursor !== null);
    expect(seen).toEqual(["@", "Z", "_", "a", "a-1", "a.1", "b", "c:10", "c:9", "d"]);
    expect((await store().listRecords("run", 100, null)).items.map((each) => each.name)).toEqual(["-", ...seen]);
  });

  test("has a cursor of its own kind: that of another listing is refused", async () => {
    for (const name of ["a", "b", "c"]) await store().putRecord(run(name, null));
    const { cursor } = await store().listRecords("run", 1, null);
    expect(cursor).not.toBeNull();
    await expect(store().listRecords("issuer", 1, cursor)).rejects.toThrow(BadCursor);
    await expect(store().listRecords("run", 1, "nonsense")).rejects.toThrow(BadCursor);
    await expect(store().listRecords("run", 0, null)).rejects.toThrow(RangeError);
  });
}

function inCommits(store: () => Store): void {
  test("writes them with the key, and they can be moved like others", async () => {
    const key = new KeyWriter(store(), "k1");
    const records = [
      run("r1", null, { key_id: "k1" }),
      { ...run("p:2026-11-22", null, { keys: 1 }), kind: "policy_day" as const },
    ];
    const commit = { ...key.next([create(sampleCall("c1"))], samplePage("k1", 1, 1)), records };
    expect((await store().commit("k1", commit)).kind).toBe("committed");
    const made = await store().record("run", "r1");
    expect(made?.doc).toEqual({ key_id: "k1" });
    expect((await store().record("policy_day", "p:2026-11-22"))?.doc).toEqual({ keys: 1 });
    expect(await store().putRecord(run("r1", made?.version ?? null, { key_id: "k1", n: 2 }))).not.toBeNull();
    expect((await store().record("run", "r1"))?.doc).toEqual({ key_id: "k1", n: 2 });
  });

  test("conflicts when one of them is not at its version, and writes nothing of it", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write();
    const old = await store().putRecord(run("moved", null, { n: 1 }));
    await store().putRecord(run("moved", old, { n: 2 }));
    for (const stale of [run("moved", old), run("moved", null), run("none", old)]) {
      const writes = [create(sampleCall("c1"))];
      const records = [run("new", null), stale];
      const commit = { ...key.next(writes, samplePage("k1", 1, 1)), records };
      expect(await store().commit("k1", commit)).toEqual({ kind: "conflict" });
    }
    const after = await store().read("k1", ["c:c1"]);
    expect(after?.version).toBe(key.version);
    expect(after?.docs.size).toBe(0);
    expect(await store().listPages("k1", 1, 10)).toEqual([]);
    expect(await store().record("run", "new")).toBeNull();
    expect((await store().record("run", "moved"))?.doc).toEqual({ n: 2 });
    await key.write([create(sampleCall("c1"))]);
  });

  test("that conflicts or whose documents exist leaves them as they were", async () => {
    const key = new KeyWriter(store(), "k1");
    await key.write([create(sampleCall("c1"))]);
    const stale = { ...key.next([]), records: [run("a", null)] };
    await key.write();
    expect(await store().commit("k1", stale)).toEqual({ kind: "conflict" });
    const clash = { ...key.next([create(sampleCall("c1"))]), records: [run("a", null)] };
    expect(await store().commit("k1", clash)).toEqual({ kind: "exists", ids: ["c:c1"] });
    expect(await store().record("run", "a")).toBeNull();
  });

  test("names each of them once: twice is our own error", async () => {
    const key = new KeyWriter(store(), "k1");
    const twice = { ...key.next([]), records: [run("a", null), run("a", null)] };
    await expect(store().commit("k1", twice)).rejects.toThrow(RangeError);
    expect(await store().read("k1", [])).toBeNull();
  });
}

function racing(store: () => Store): void {
  test("of many keys moves one record as often as commits applied: none is lost", async () => {
    const name = "policy:2026-11-22";
    let conflicts = 0;
    const writer = async (keyId: string): Promise<void> => {
      for (let tries = 0; tries < 200; tries += 1) {
        const read = await store().record("policy_day", name);
        const keys = Number(read?.doc.keys ?? 0) + 1;
        const record = { kind: "policy_day" as const, name, doc: { keys }, version: read?.version ?? null };
        const commit = { ...new KeyWriter(store(), keyId).next([]), records: [{ ...record, expiresAt: null }] };
        const result = await store().commit(keyId, commit);
        if (result.kind === "committed") return;
        conflicts += 1;
      }
      throw new Error(`the commit of ${keyId} never applied`);
    };
    const ids = Array.from({ length: 12 }, (_, n) => `k${n}`);
    await Promise.all(ids.map(writer));
    expect((await store().record("policy_day", name))?.doc).toEqual({ keys: 12 });
    expect(conflicts).toBeGreaterThan(0);
    for (const id of ids) expect((await store().read(id, []))?.state.keyId).toBe(id);
  });
}
