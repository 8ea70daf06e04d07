/**
 * The text of a vault key: `vk_<pepper version>_<key id>_<HMAC-SHA-256(pepper, key id), base64url>`.
 * Derivable, so get-or-create can answer it again and it is verified before any store read; never stored.
 * A task appends its context: `vk_…~<task index>~<task attempt>`.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";

export interface ParsedVaultKey {
  keyId: string;
  pepperVersion: number;
  /** The key's text without the task's context. */
  text: string;
  task: number | null;
  attempt: number | null;
}

const shape = /^vk_([1-9]\d{0,5})_([a-z2-7]{26})_([A-Za-z0-9_-]{43})(?:~(\d{1,6})~(\d{1,4}))?$/;

export class VaultKeys {
  readonly #peppers: ReadonlyMap<number, Buffer>;
  /** Version that new keys are made with. */
  readonly currentVersion: number;

  constructor(peppers: ReadonlyMap<number, Buffer>) {
    for (const [version, pepper] of peppers) {
      if (pepper.length < 32)
        throw new Error(`pepper version ${version} has ${pepper.length} bytes; it needs at least 32`);
    }
    this.#peppers = peppers;
    this.currentVersion = Math.max(...peppers.keys());
  }

  text(keyId: string, version: number): string {
    const mac = this.#mac(keyId, version);
    if (!mac) throw new Error(`the pepper's version ${version} is not loaded`);
    return `vk_${version}_${keyId}_${mac.toString("base64url")}`;
  }

  /** @returns `null` for any text that this proxy did not make. Reads no store. */
  verify(presented: string): ParsedVaultKey | null {
    const match = shape.exec(presented);
    if (!match) return null;
    const keyId = match[2]!;
    const version = Number(match[1]);
    const mac = this.#mac(keyId, version);
    const given = Buffer.from(match[3]!, "base64url");
    if (!mac || given.length !== mac.length || !timingSafeEqual(mac, given)) return null;
    if (given.toString("base64url") !== match[3]) return null;
    const context = match[4] !== undefined;
    return {
      keyId,
      pepperVersion: version,
      text: presented.split("~", 1)[0]!,
      task: context ? Number(match[4]) : null,
      attempt: context ? Number(match[5]) : null,
    };
  }

  /** A 32-byte key for one purpose (`receipt`, `lookup`), derived from the vault key's text by HKDF-SHA-256. */
  derive(keyId: string, version: number, purpose: string): Buffer {
    return Buffer.from(hkdfSync("sha256", this.text(keyId, version), keyId, `keybrake ${purpose}`, 32));
  }

  #mac(keyId: string, version: number): Buffer | null {
    const pepper = this.#peppers.get(version);
    return pepper ? createHmac("sha256", pepper).update(`keybrake vault key ${version} ${keyId}`).digest() : null;
  }
}
