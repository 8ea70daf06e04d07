/**
 * Goal: whatever Firestore answers to a commit, the ledger is told the truth: applied, not applied, or not known. Method: the real
 * store on a connection that answers and loses what each test says, errors shaped as grpc-js throws them. Limit: which errors the
 * real service sends when is not shown here (see firestore-outage.test.ts for the emulator's).
 */
import { describe, expect, test } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { FirestoreStore } from "../../service/stores/firestore.ts";
import { codes } from "../../service/stores/firestore-failure.ts";
import { type Commit, StoreUnavailable } from "../../service/stores/store.ts";
import { LATER, rpcError, ScriptedConnection, VERSION } from "./firestore-scripted.ts";
import { create, put, START, sampleCall, sampleKey, samplePage } from "./samples.ts";

const page = "keys/k1/pages/000000000000002";

function scene(): { connection: ScriptedConnection; store: FirestoreStore } {
  const connection = new ScriptedConnection();
  return { connection, store: new FirestoreStore(connection, systemRandom, 86_400_000) };
}

function commitOf(over: Partial<Commit> = {}): Commit {
  return { version: VERSION, state: sampleKey("k1"), page: samplePage("k1", 1, 2), writes: [], ...over };
}

const refusals = {
  "a precondition that does not hold": codes.failedPrecondition,
  "a document that exists": codes.alreadyExists,
  "a document that is missing": codes.notFound,
  "a lock that another commit holds": codes.aborted,
};

describe("a commit that is refused", () => {
  for (const [why, code] of Object.entries(refusals)) {
    test(`with ${why} though its first sending applied is committed, with the version that it got`, async () => {
      const { connection, store } = scene();
      connection.outcomes.push("applied", rpcError(code));
      await store.commit("k1", commitOf());
      const committing = store.commit("k1", commitOf());
      connection.found("keys/k1", LATER);
      expect(await committing).toEqual({ kind: "committed", version: LATER, time: 1_795_341_513_000 });
      expect(connection.commits).toHaveLength(2);
    });

    test(`with ${why} is a conflict when the key is another commit's`, async () => {
      const { connection, store } = scene();
      connection.outcomes.push("applied", rpcError(code));
      await store.commit("k1", commitOf());
      connection.found("keys/k1", LATER);
      connection.found(page, LATER);
      expect(await store.commit("k1", commitOf())).toEqual({ kind: "conflict" });
      expect(connection.reads).toEqual([["keys/k1", page]]);
    });
  }

  test("though it applied and another commit followed is in doubt: the ledger finds out by the page", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.failedPrecondition));
    const committing = store.commit("k1", commitOf());
    connection.found(page, VERSION);
    connection.docs.set("keys/k1", { path: "keys/k1", version: LATER, fields: { beat: { stringValue: "other" } } });
    expect(await committing).toEqual({ kind: "doubt" });
  });

  test("because the key is gone, or because it was to be made and exists, is a conflict", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.notFound), rpcError(codes.alreadyExists));
    expect(await store.commit("k1", commitOf())).toEqual({ kind: "conflict" });
    connection.docs.set("keys/k1", { path: "keys/k1", version: VERSION, fields: {} });
    expect(await store.commit("k1", commitOf({ version: null }))).toEqual({ kind: "conflict" });
  });

  test("at the key's version names the documents that exist", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.alreadyExists));
    for (const path of ["keys/k1", "calls/c1", "docs/a:x"]) {
      connection.docs.set(path, { path, version: VERSION, fields: {} });
    }
    const writes = [create(sampleCall("c1")), create(sampleCall("c2")), put(sampleCall("c3"))];
    const alias = { op: "create", id: "a:x", doc: { callId: "c1" } } as const;
    expect(await store.commit("k1", commitOf({ writes: [...writes, alias] }))).toEqual({
      kind: "exists",
      ids: ["c:c1", "a:x"],
    });
  });

  test("for a reason that is over when the store looks is a conflict, so that it is tried again", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.aborted));
    connection.docs.set("keys/k1", { path: "keys/k1", version: VERSION, fields: {} });
    expect(await store.commit("k1", commitOf({ writes: [create(sampleCall("c1"))] }))).toEqual({ kind: "conflict" });
  });

  test("is unavailable when the look fails: nothing is claimed", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.failedPrecondition));
    connection.readFailure = rpcError(codes.unavailable);
    await expect(store.commit("k1", commitOf())).rejects.toThrow(StoreUnavailable);
  });

  test("for a call that is missing, of which only the receipt was to go, is sent again without it", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.notFound));
    connection.docs.set("keys/k1", { path: "keys/k1", version: VERSION, fields: {} });
    const writes = [{ op: "delete", id: "r:none" } as const, put(sampleCall("c1"))];
    expect(await store.commit("k1", commitOf({ writes }))).toMatchObject({ kind: "committed" });
    const names = connection.commits.map((sent) => sent.some(({ update }) => update?.name?.endsWith("/calls/none")));
    expect(names).toEqual([true, false]);
  });
});

describe("a commit whose answer says nothing", () => {
  const unclear = {
    "a deadline": rpcError(codes.deadlineExceeded),
    "a connection that was lost": rpcError(codes.unavailable, "read ECONNRESET"),
    "an internal error": rpcError(13),
    "a cancelled call": rpcError(1),
    "an unknown error": rpcError(2),
    "too much load": rpcError(codes.resourceExhausted),
  };
  for (const [what, failure] of Object.entries(unclear)) {
    test(`(${what}) is in doubt, and is not sent again`, async () => {
      const { connection, store } = scene();
      connection.outcomes.push(failure);
      expect(await store.commit("k1", commitOf())).toEqual({ kind: "doubt" });
      expect(connection.commits).toHaveLength(1);
      expect(connection.reads).toEqual([]);
    });
  }

  const unsent = {
    "no connection": rpcError(codes.unavailable, "No connection established. Last error: connect ECONNREFUSED"),
    "no address": rpcError(codes.unavailable, "Name resolution failed for target dns:firestore.googleapis.com"),
    "no credentials": rpcError(null, "Could not load the default credentials."),
    "no permission": rpcError(codes.permissionDenied),
    "credentials that are refused": rpcError(codes.unauthenticated),
  };
  for (const [what, failure] of Object.entries(unsent)) {
    test(`since nothing was written (${what}) is unavailable`, async () => {
      const { connection, store } = scene();
      connection.outcomes.push(failure);
      await expect(store.commit("k1", commitOf())).rejects.toThrow(StoreUnavailable);
    });
  }

  test("that Firestore calls invalid is our own error", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(
      rpcError(codes.invalidArgument, "The value of property doc is longer than 1048487 bytes."),
    );
    await expect(store.commit("k1", commitOf())).rejects.toThrow(/key k1 breaks a rule of Firestore.*1048487/);
  });
});

describe("a read that fails", () => {
  test("is unavailable, and says what to do where that is known", async () => {
    const { connection, store } = scene();
    const reads: (() => Promise<unknown>)[] = [
      () => store.read("k1", []),
      () => store.findCall("c1"),
      () => store.listCalls({}, 10, null),
      () => store.listKeys({}, 10, null),
      () => store.listOpenCalls(10, null),
      () => store.listPages("k1", 1, 10),
      () => store.findPage("k1", 1),
      () => store.sweepReceipts(START, 10),
      () => store.setting("s"),
      () => store.settingOnce("s", "v"),
      () => store.record("run", "r"),
      () => store.listRecords("run", 10, null),
      () => store.policies.byId("p"),
      () => store.policies.byPrincipal("p"),
    ];
    for (const [code, hint] of [
      [codes.unavailable, /cannot be reached/],
      [codes.permissionDenied, /roles\/datastore.user/],
      [codes.notFound, /KEYBRAKE_STORE must name a database that exists/],
    ] as const) {
      connection.readFailure = rpcError(code);
      for (const read of reads) {
        const failure = await read().catch((error: unknown) => error);
        expect(failure, String(read)).toBeInstanceOf(StoreUnavailable);
        expect(String(failure)).toMatch(hint);
      }
    }
  });
});

describe("a record or a setting whose writing gives no clear answer", () => {
  const record = { kind: "run", name: "r", doc: {}, version: null, expiresAt: null } as const;

  test("is unavailable, for it may have been written", async () => {
    for (const failure of [rpcError(codes.deadlineExceeded), rpcError(codes.unavailable, "read ECONNRESET")]) {
      const { connection, store } = scene();
      connection.outcomes.push(failure, failure);
      await expect(store.putRecord(record)).rejects.toThrow(StoreUnavailable);
      await expect(store.settingOnce("s", "v")).rejects.toThrow(StoreUnavailable);
    }
  });

  test("is the value that is there when a setting is found after all", async () => {
    const { connection, store } = scene();
    connection.outcomes.push(rpcError(codes.deadlineExceeded));
    const writing = store.settingOnce("s", "mine");
    connection.docs.set("settings/setting:s", {
      path: "settings/setting:s",
      version: VERSION,
      fields: { value: { stringValue: "first" } },
    });
    expect(await writing).toBe("first");
  });
});
