/**
 * Goal: no record of the chain can be changed, lost, added, doubled or moved without being found.
 * Method: the chain of a small life of a key, each single tampering of it, and the verifier that proofs use.
 * Limit: a chain that is rewritten to its end is found only against a head that was kept elsewhere; the last test shows that.
 */
import { expect, test } from "vitest";
import { ChainVerifier, GENESIS, link } from "../../service/ledger/chain.ts";
import type { ChainRecord } from "../../service/ledger/types.ts";
import { audit } from "./books.ts";
import { ask, declined, issued, makeWorld, paid, send, timedOut } from "./fixture.ts";

async function life() {
  const { ledger, store, clock } = makeWorld();
  const { keyId } = await issued(ledger);
  await send(ledger, keyId, ask(), paid(700_000));
  await send(ledger, keyId, ask(), declined);
  clock.time += 1_000;
  const { call } = await send(ledger, keyId, ask(), timedOut);
  await ledger.act(keyId, { act: "pause", by: "ann", reason: "look" });
  await ledger.act(keyId, { act: "resume", by: "ann" });
  await ledger.act(keyId, { act: "raise", by: "bob", capMicros: 200_000_000 });
  await ledger.settleByHand(call, 1_000_000, "ann", 'seen: "pi_1", \n and 1 € more');
  await ledger.act(keyId, { act: "revoke", by: "ann", reason: "done" });
  const { commits, key } = await audit(store, keyId);
  return { records: commits.flat(), key };
}

function verify(records: readonly ChainRecord[]): ChainVerifier {
  const verifier = new ChainVerifier();
  for (const record of records) verifier.add(record);
  return verifier;
}

test("an untouched chain verifies, ends at the key's head, and adds up to its balance", async () => {
  const { records, key } = await life();
  expect(records.map(({ act }) => act)).toEqual([
    "issue",
    ...["reserve", "settle"],
    ...["reserve", "release"],
    ...["reserve", "unknown"],
    ...["pause", "resume", "raise", "settle_by_hand", "revoke"],
  ]);
  const { fault, head, length, spentMicros, reservedMicros } = verify(records);
  expect({ fault, head, length, spentMicros, reservedMicros }).toEqual({
    fault: null,
    head: key.chainHead,
    length: key.chainLength,
    spentMicros: key.spentMicros,
    reservedMicros: key.reservedMicros,
  });
});

test("a store that gives the fields back in another order changes nothing", async () => {
  const { records } = await life();
  const turned = records.map(
    (record) => Object.fromEntries(Object.entries(record).reverse()) as unknown as ChainRecord,
  );
  expect(verify(turned).fault).toBeNull();
});

const others: { [Field in keyof ChainRecord]: ChainRecord[Field][] } = {
  n: [-1, 0.5, 99],
  at: [0, 1],
  act: ["issue", "reserve", "adjust"],
  callId: [null, "call_x", ""],
  reservedMicros: [1, -1],
  spentMicros: [1, -1],
  capMicros: [null, 1],
  by: [null, "", "eve"],
  reason: [null, "", "eve"],
  hash: ["", GENESIS],
};

test("any other value in any field of any record is found at that record", async () => {
  const { records } = await life();
  let tampered = 0;
  for (const [index, record] of records.entries()) {
    for (const field of Object.keys(record) as (keyof ChainRecord)[]) {
      for (const value of others[field]) {
        if (record[field] === value) continue;
        const { fault, length } = verify(records.with(index, { ...record, [field]: value }));
        expect(fault, `${field} of record ${index} as ${value}`).toContain(`record ${index} `);
        expect(length).toBe(index);
        tampered += 1;
      }
    }
  }
  expect(tampered).toBeGreaterThan(200);
});

test("a record that is lost, doubled, or in another's place is found", async () => {
  const { records } = await life();
  for (let index = 0; index < records.length - 1; index += 1) {
    const at = (n: number) => records[n]!;
    expect(verify(records.toSpliced(index, 1)).fault, `${index} lost`).toContain(`record ${index} is missing`);
    expect(verify(records.toSpliced(index, 0, at(index))).fault, `${index} doubled`).not.toBeNull();
    const swapped = records.with(index, at(index + 1)).with(index + 1, at(index));
    expect(verify(swapped).fault, `${index} swapped`).not.toBeNull();
    const renumbered = swapped.map((record, n) => ({ ...record, n }));
    expect(verify(renumbered).fault, `${index} swapped and renumbered`).not.toBeNull();
  }
});

test("a record that is put in with a right hash of its own breaks the next one", async () => {
  const { records } = await life();
  for (let index = 1; index < records.length; index += 1) {
    const extra = link(records[index - 1]!.hash, { ...records[index]!, spentMicros: 1 });
    const later = records.slice(index).map((record) => ({ ...record, n: record.n + 1 }));
    expect(verify([...records.slice(0, index), extra, ...later]).fault).toContain(`record ${index + 1} `);
  }
});

test("after the first fault nothing more is added up", async () => {
  const { records } = await life();
  const verifier = verify(records.with(2, { ...records[2]!, spentMicros: 5 }));
  expect([verifier.length, verifier.spentMicros]).toEqual([2, 0]);
});

test("a chain that is cut at its end, or rewritten to its end, verifies by itself: the head that was kept elsewhere tells", async () => {
  const { records, key } = await life();
  const cut = verify(records.slice(0, -1));
  const rewritten = new ChainVerifier();
  for (const { hash: _, ...entry } of records) {
    rewritten.add(link(rewritten.head, { ...entry, spentMicros: 0 }));
  }
  for (const forged of [cut, rewritten]) {
    expect(forged.fault).toBeNull();
    expect(forged.head).not.toBe(key.chainHead);
  }
});
