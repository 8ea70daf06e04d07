/**
 * The admin key: one bearer text that may do everything on the control plane.
 *
 * What is kept is `v1:<salt>:<HMAC-SHA-256(salt, key)>`. A fast hash is right here: a key that we make has 256 random bits, which
 * no guessing reaches, and a key from KEYBRAKE_ADMIN_KEY is never stored at all, only hashed in memory. A slow hash (scrypt)
 * would let anyone without a key keep the process busy with wrong ones.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Random } from "../clock.ts";
import type { Store } from "../stores/store.ts";
import type { Authenticate, Principal } from "./principal.ts";

/** Name of the store's setting that keeps the hash of a key we made. */
const SETTING = "admin_key_hash";

const admin: Principal = {
  owner: "admin",
  by: "admin key",
  may: "everything",
  sees: null,
  policy: null,
  account: null,
};

const digest = (salt: Buffer, key: string): Buffer => createHmac("sha256", salt).update(key).digest();

export function hashAdminKey(key: string, random: Random): string {
  const salt = random.bytes(16);
  return `v1:${salt.toString("hex")}:${digest(salt, key).toString("hex")}`;
}

/** True when `key` is the one that was hashed. Compares in constant time. */
export function isAdminKey(key: string, hashed: string): boolean {
  const [version, salt, mac] = hashed.split(":");
  if (version !== "v1" || !salt || mac?.length !== 64) throw new Error("the stored hash of the admin key is damaged");
  return timingSafeEqual(digest(Buffer.from(salt, "hex"), key), Buffer.from(mac, "hex"));
}

export function adminKeyWay(hashed: string): Authenticate {
  return async (bearer) => (isAdminKey(bearer, hashed) ? admin : null);
}

/**
 * The hash to compare with: of `given` when there is one, else of the key that this store's first start made.
 * @param announce Called with the key's text when it was made just now: the only moment it can be seen.
 */
export async function openAdminKey(
  given: string | null,
  store: Pick<Store, "setting" | "settingOnce">,
  random: Random,
  announce: (key: string) => void,
): Promise<string> {
  if (given !== null) return hashAdminKey(given, random);
  const kept = await store.setting(SETTING);
  if (kept !== null) return kept;
  const key = `kba_${random.bytes(32).toString("base64url")}`;
  const hashed = hashAdminKey(key, random);
  const first = await store.settingOnce(SETTING, hashed);
  if (first === hashed) announce(key);
  return first;
}
