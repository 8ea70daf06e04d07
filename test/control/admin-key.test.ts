/**
 * Goal: the admin key is kept as a hash only, made once a store, and told once.
 * Method: the store in memory. Limit: that the comparison takes constant time is by its function (timingSafeEqual), not measured.
 */
import { describe, expect, it } from "vitest";
import { systemRandom } from "../../service/clock.ts";
import { hashAdminKey, isAdminKey, openAdminKey } from "../../service/control/admin-key.ts";
import { MemoryStore } from "../../service/stores/memory.ts";

const key = "an-admin-key-of-more-than-32-characters";

describe("the hash of an admin key", () => {
  it("fits the key only, is salted, and holds no part of it", () => {
    const hashed = hashAdminKey(key, systemRandom);
    expect(isAdminKey(key, hashed)).toBe(true);
    for (const other of ["", key.slice(1), `${key} `, key.toUpperCase(), hashed])
      expect(isAdminKey(other, hashed)).toBe(false);
    expect(hashAdminKey(key, systemRandom)).not.toBe(hashed);
    expect(hashed).not.toContain(key.slice(0, 8));
  });

  it("that is damaged is an error, never a match", () => {
    for (const damaged of ["", "v1", "v2:00:00", `v1::${"0".repeat(64)}`, "v1:00:0"]) {
      expect(() => isAdminKey(key, damaged)).toThrow("damaged");
    }
  });
});

describe("the first start without an admin key", () => {
  it("makes one, tells it once, and the next start knows it", async () => {
    const store = new MemoryStore({ clock: { now: () => 0 } });
    const told: string[] = [];
    const first = await openAdminKey(null, store, systemRandom, (text) => told.push(text));
    const second = await openAdminKey(null, store, systemRandom, (text) => told.push(text));
    expect(told).toHaveLength(1);
    expect(told[0]!.length).toBeGreaterThanOrEqual(32);
    expect(isAdminKey(told[0]!, first)).toBe(true);
    expect(second).toBe(first);
  });

  it("is not made when one is given, which is not stored", async () => {
    const store = new MemoryStore({ clock: { now: () => 0 } });
    const hashed = await openAdminKey(key, store, systemRandom, () => expect.fail("told"));
    expect(isAdminKey(key, hashed)).toBe(true);
    expect(await store.setting("admin_key_hash")).toBeNull();
  });
});
