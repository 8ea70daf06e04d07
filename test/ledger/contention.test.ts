/**
 * Goal: a commit that another instance beat costs one read and one more commit, takes along what has arrived meanwhile, and leaves
 * nobody behind whatever the store answers next. Method: a ledger on the store in memory, whose commits and reads are counted and
 * answered as a test says. Limit: one process plays both instances; what contention costs is measured, not tested.
 */
import { describe, expect, test } from "vitest";
import type { Ledger } from "../../service/ledger/ledger.ts";
import type { Commit, CommitResult, Store } from "../../service/stores/store.ts";
import { audit } from "./books.ts";
import { ask, codeOf, forward, issued, ledgerOn, makeWorld, ownKey, paid } from "./fixture.ts";

type Answer = /** applies, as it would */ "pass" | /** the other instance comes first */ "beaten" | "conflict" | Doubt;
/** The answer is lost: `late` applies only when the next commit is under way. */
type Doubt = "doubt_applied" | "doubt_lost" | "doubt_late";

/** Ledger 0 is watched; ledger 1 is the other instance. */
async function world(answers: readonly Answer[]) {
  const { store, clock, ledgers } = makeWorld({ instances: 2 });
  const other = ledgers[1]!;
  const { keyId } = await issued(other);
  const seen = { commits: [] as Commit[], reads: 0 };
  const script = [...answers];
  /** Runs while a commit of the watched ledger is under way. */
  let meanwhile: () => void = () => {};
  let late: (() => Promise<unknown>) | null = null;
  const commit = async (id: string, sent: Commit): Promise<CommitResult> => {
    seen.commits.push(sent);
    meanwhile();
    await late?.();
    late = null;
    const answer = script.shift() ?? "pass";
    if (answer === "beaten") await forward(other, keyId, ask({ quoteMicros: 1 }));
    if (answer === "conflict") return { kind: "conflict" };
    if (answer === "doubt_late") late = () => store.commit(id, sent);
    if (answer === "doubt_lost" || answer === "doubt_late") return { kind: "doubt" };
    const result = await store.commit(id, sent);
    return answer === "doubt_applied" ? { kind: "doubt" } : result;
  };
  const read: Store["read"] = (id, ids) => {
    seen.reads += 1;
    return store.read(id, ids);
  };
  const watched = new Proxy<Store>(store, {
    get(target, asked) {
      if (asked === "commit") return commit;
      if (asked === "read") return read;
      const value: unknown = Reflect.get(target, asked, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const ledger = ledgerOn(watched, clock, 1);
  await ledger.fresh(keyId);
  return {
    ...{ store, ledger, other, keyId, seen, script },
    during: (run: () => void) => {
      meanwhile = run;
    },
  };
}

const reserveAs = (ledger: Ledger, keyId: string, name: string) =>
  codeOf(ledger.reserve(keyId, ask({ clientKey: ownKey(name), quoteMicros: 1 })));

describe("a commit that another instance beat", () => {
  test("takes along what has arrived meanwhile: three that came one by one share the second try", async () => {
    const { store, ledger, keyId, seen, during } = await world(["beaten"]);
    const later: Promise<unknown>[] = [];
    during(() => {
      if (later.length === 0) later.push(reserveAs(ledger, keyId, "second"), reserveAs(ledger, keyId, "third"));
    });
    expect(await reserveAs(ledger, keyId, "first")).toBeNull();
    expect(await Promise.all(later)).toEqual([null, null]);
    expect(seen.commits.map(({ writes }) => writes.length)).toEqual([1, 3]);
    expect((await audit(store, keyId)).key.counts.reserved).toBe(4);
  });

  test("and outcomes that come along go before reserves that waited: what they give back is there for them", async () => {
    const { ledger, keyId, script, during } = await world([]);
    const { call, send } = await forward(
      ledger,
      keyId,
      ask({ clientKey: ownKey("paid"), quoteMicros: 100_000_000 - 10 }),
    );
    script.push("beaten");
    let finishing: Promise<unknown> | null = null;
    during(() => {
      finishing ??= ledger.finish(keyId, call.id, send, paid(1));
    });
    expect(await codeOf(ledger.reserve(keyId, ask({ clientKey: ownKey("next"), quoteMicros: 1_000_000 })))).toBeNull();
    await finishing;
  });

  test("is made again after one read, documents included", async () => {
    const { ledger, keyId, seen, script } = await world([]);
    const { call, send } = await forward(ledger, keyId, ask({ clientKey: ownKey("first"), quoteMicros: 1 }));
    script.push("beaten");
    const before = { reads: seen.reads, commits: seen.commits.length };
    await ledger.finish(keyId, call.id, send, paid(1));
    expect(seen.reads - before.reads).toBe(1);
    expect(seen.commits.length - before.commits).toBe(2);
  });

  const unclear: [string, Answer[]][] = [
    ["applied, its answer lost", ["beaten", "doubt_applied"]],
    ["did not apply, its answer lost", ["beaten", "doubt_lost"]],
    ["is in doubt, and the next is beaten", ["beaten", "doubt_lost", "conflict", "beaten"]],
    ["is in doubt, and lands while the one after it is under way", ["beaten", "doubt_late"]],
    ["is in doubt twice, and lands late", ["beaten", "doubt_lost", "conflict", "doubt_late"]],
  ];
  test.each(unclear)("leaves nobody behind when the next try %s", async (_, answers) => {
    const { store, ledger, keyId, during } = await world(answers);
    const arrivals: Promise<unknown>[] = [];
    during(() => {
      if (arrivals.length < 10) arrivals.push(reserveAs(ledger, keyId, `during ${arrivals.length}`));
    });
    expect(await reserveAs(ledger, keyId, "first")).toBeNull();
    // One that nobody answers never ends, and the test with it.
    let answered = 0;
    while (answered < arrivals.length) {
      expect(await arrivals[answered]).toBeNull();
      answered += 1;
    }
    const { calls } = await audit(store, keyId);
    const others = answers.filter((answer) => answer === "beaten").length;
    expect(calls.filter(({ sends }) => sends === 1)).toHaveLength(1 + answered + others);
  });
});
