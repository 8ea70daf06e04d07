/**
 * Goal: what is kept of a call's messages opens only for the vault key and the call it was sealed for, and shows nothing.
 * Method: seal and open with keys that differ in one thing; flip each byte.
 * Limit: that AES-GCM is sound is taken for granted.
 */
import { describe, expect, test } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { Seals } from "../../service/data/receipt.ts";
import type { KeyState } from "../../service/ledger/types.ts";
import { VaultKeys } from "../../service/vault-key.ts";

const keys = new VaultKeys(
  new Map([
    [1, Buffer.alloc(32, 1)],
    [2, Buffer.alloc(32, 2)],
  ]),
);
const seals = new Seals(keys, systemRandom);
const keyOf = (keyId: string, pepperVersion = 1) => ({ keyId, pepperVersion }) as KeyState;
const mine = keyOf("a".repeat(26));
const answer = {
  status: 201,
  headers: ["content-type", "application/json"],
  body: Buffer.from('{"id":"pi_1"}\n\u0000\xff', "latin1"),
};

describe("a receipt", () => {
  test("opens to the very answer", () => {
    expect(seals.openAnswer(mine, "call", seals.sealAnswer(mine, "call", answer))).toEqual(answer);
  });

  test("shows nothing of the answer, and never looks the same twice", () => {
    const sealed = seals.sealAnswer(mine, "call", answer);
    expect(Buffer.from(sealed.slice(2), "base64").toString("latin1")).not.toContain("pi_1");
    expect(seals.sealAnswer(mine, "call", answer)).not.toBe(sealed);
  });

  test("does not open for another call, another key or after a change of any byte", () => {
    const sealed = seals.sealAnswer(mine, "call", answer);
    expect(seals.openAnswer(mine, "other", sealed)).toBeNull();
    expect(seals.openAnswer(keyOf("b".repeat(26)), "call", sealed)).toBeNull();
    const bytes = Buffer.from(sealed.slice(2), "base64");
    for (let i = 0; i < bytes.length; i += 1) {
      const changed = Buffer.from(bytes);
      changed[i]! ^= 1;
      expect(seals.openAnswer(mine, "call", `1.${changed.toString("base64")}`)).toBeNull();
    }
    for (const broken of ["", "1.", "x", `2.${sealed.slice(2)}`, `9.${sealed.slice(2)}`]) {
      expect(seals.openAnswer(mine, "call", broken)).toBeNull();
    }
  });

  test("opens with the version of the pepper that it was sealed with", () => {
    const older = seals.sealAnswer(mine, "call", answer);
    expect(seals.openAnswer(keyOf(mine.keyId, 2), "call", older)).toEqual(answer);
  });
});

describe("a look-up's facts", () => {
  const facts = { body: { To: "+15005550006", Body: "hi" }, headers: { "stripe-account": "acct_1" } };

  test("open for their key", () => {
    expect(seals.openLookup(mine.keyId, seals.sealLookup(mine, facts))).toEqual(facts);
  });

  test("are not opened as a receipt, nor a receipt as facts", () => {
    expect(seals.openAnswer(mine, mine.keyId, seals.sealLookup(mine, facts)!)).toBeNull();
    expect(seals.openLookup(mine.keyId, seals.sealAnswer(mine, mine.keyId, answer))).toBeNull();
  });

  test("are kept whole or not at all", () => {
    expect(seals.sealLookup(mine, { ...facts, body: { Body: "x".repeat(70_000) } })).toBeNull();
    expect(seals.openLookup(mine.keyId, null)).toBeNull();
  });
});
