/**
 * Goal: the ledger does what its rules say, whatever comes in whatever order, and its invariants hold at every commit.
 * Method: (1) the same random requests to the real ledger and to a naive model, one at a time, on one to three instances over a
 * store that injects conflicts and lost answers; after each the answers, every call and the replayed chain must agree.
 * (2) a whole job at once: tasks, SDK retries, dying clients and proxies, a failing store, an operator; afterwards the vendor's
 * books must be the ledger's, and no text be sent more often than the task wanted it.
 * Limit: the storm is on the store in memory only, and the vendor is simulated. `node test/ledger/simulate.ts --seed N --for SECONDS`
 * runs the same properties for longer.
 */
import fc from "fast-check";
import { expect, test } from "vitest";
import { audit, faultsOf, readBooks } from "./books.ts";
import { stormProperty } from "./crowd.ts";
import { ask, forward, issued, makeWorld, paid, send } from "./fixture.ts";
import { twinOnSqlite, twinProperty } from "./twin.ts";

test("the ledger answers every request as the naive model does, and its books are right after each", async () => {
  await fc.assert(twinProperty, { seed: 20261122, numRuns: 700 });
});

test("it does so on the embedded store", async () => {
  await fc.assert(twinOnSqlite, { seed: 20261122, numRuns: 60 });
});

test("after a storm of parallel tasks, retries, crashes and store failures the vendor's books are the ledger's", async () => {
  await fc.assert(stormProperty, { seed: 20261122, numRuns: 300 });
});

test("the auditor finds every sum, count, chain number and hash that is changed by one", async () => {
  const { ledger, store } = makeWorld();
  const { keyId } = await issued(ledger);
  await send(ledger, keyId, ask(), paid(1_000_000));
  await forward(ledger, keyId, ask());
  const right = await audit(store, keyId);
  const changes: ((books: typeof right) => void)[] = [
    ({ key }) => (key.reservedMicros += 1),
    ({ key }) => (key.spentMicros -= 1),
    ({ key }) => (key.capMicros = 1),
    ({ key }) => (key.counts.reserved += 1),
    ({ key }) => (key.chainLength += 1),
    ({ calls }) => (calls[0]!.reservedMicros += 1),
    ({ calls }) => (calls.length = 1),
    ({ calls }) => calls[0]!.chain.push(1),
    ({ commits }) => (commits[1]![0]!.reservedMicros += 1),
    ({ commits }) => commits.splice(1, 1),
  ];
  for (const change of changes) {
    const books = await readBooks(store, keyId);
    change(books);
    expect(faultsOf(books), String(change)).not.toEqual([]);
  }
});
