/**
 * Goal: an intent that fails leaves no trace in the commit that it shares with its neighbours.
 * Method: a draft, an intent that changes everything a draft can change and then throws, and the commit before and after.
 * Limit: today's intents decide before they change anything; this is what keeps a careless one from costing its neighbours.
 */
import { expect, test } from "vitest";
import { DocCache, kindOf, nameOf } from "../../service/ledger/doc-cache.ts";
import { Draft, NeedDocs } from "../../service/ledger/draft.ts";
import type { Doc, DocId } from "../../service/ledger/types.ts";
import { issued, makeWorld, NOON } from "./fixture.ts";

async function draftOf(known: [DocId, Doc | null][] = []) {
  const { ledger } = makeWorld();
  const state = await issued(ledger);
  const docs = new DocCache();
  for (const [id, doc] of known) docs.set(kindOf(id), nameOf(id), doc);
  return new Draft(state, docs.docs, { now: NOON, token: "batch", randomId: () => Buffer.alloc(16) });
}

const picture = ({ state, page, writes }: Draft) => structuredClone({ state, page, writes });

test("whatever an intent did before it threw is undone, and what others did stays", async () => {
  const draft = await draftOf([["a:there", { callId: "call_1" }]]);
  draft.attempt(() => {
    draft.write("a", "mine", { callId: "call_2" });
    draft.record({ act: "reserve", reservedMicros: 5 });
  });
  const before = picture(draft);
  const careless = () => {
    draft.state.status = "revoked";
    draft.state.counts.calls += 1;
    draft.state.refusals.cap_exhausted = 1;
    draft.write("a", "mine", { callId: "call_3" });
    draft.write("a", "mine", { callId: "call_4" });
    draft.write("a", "new", { callId: "call_3" });
    draft.remove("a", "there");
    draft.record({ act: "settle", spentMicros: 7 });
    throw new Error("careless");
  };
  expect(() => draft.attempt(careless)).toThrow("careless");
  expect(picture(draft)).toEqual(before);
  expect(draft.look("a", "there")).toEqual({ callId: "call_1" });
  expect(draft.look("a", "new")).toBeUndefined();
});

test("a document is created when nobody has read it or it is known to be absent, and replaced when it is there", async () => {
  const draft = await draftOf([
    ["a:there", { callId: "call_1" }],
    ["a:absent", null],
  ]);
  for (const id of ["there", "absent", "unread"]) draft.write("a", id, { callId: "call_2" });
  expect(draft.writes.map(({ op, id }) => `${op} ${id}`)).toEqual([
    "put a:there",
    "create a:absent",
    "create a:unread",
  ]);
});

test("a decision that needs a document nobody has read names it", async () => {
  const draft = await draftOf([["a:absent", null]]);
  expect(draft.need("a", "absent")).toBeNull();
  expect(() => draft.need("c", "call_1")).toThrow(expect.objectContaining(new NeedDocs(["c:call_1"])));
});
