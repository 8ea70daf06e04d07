/**
 * The text of a vault key: `vk_<pepper version>_<key id>_<HMAC-SHA-256(pepper, key id), base64url>`.
 * Derivable, so get-or-create can answer it again and it is verified before any store read; never stored.
 * A task appends its context: `vk_…~<task index>~<task attempt>`. `keybrake exec` has appended it where the task's own code may
 * append it again: the same context twice counts once.
 */
import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { Refusal } from "./errors.ts";

export interface ParsedVaultKey {
  keyId: string;
  pepperVersion: number;
  /** The key's text without the task's context. */
  text: string;
  task: number | null;
  attempt: number | null;
}

const shape = /^vk_([1-9]\d{0,5})_([a-z2-7]{26})_([A-Za-z0-9_-]{43})(?:~(\d{1,6})~(\d{1,4})(?:~\4~\5)?)?$/;

export class VaultKeys {
  readonly #peppers: ReadonlyMap<number, Buffer>;
  readonly #load: (version: number) => Promise<boolean>;
  /** Version that a text named last which no pepper was there for. */
  #missing: number | null = null;

  /**
   * @param peppers by version; what is added to it later counts.
   * @param load tries to add a version that another instance may have seen first. @returns whether it is there.
   */
  constructor(peppers: ReadonlyMap<number, Buffer>, load: (version: number) => Promise<boolean> = async () => false) {
    for (const [version, pepper] of peppers) {
      if (pepper.length < 32)
        throw new Error(`pepper version ${version} has ${pepper.length} bytes; it needs at least 32`);
    }
    this.#peppers = peppers;
    this.#load = load;
  }

  /** Version that new keys are made with. */
  get currentVersion(): number {
    return Math.max(...this.#peppers.keys());
  }

  /** Makes a version ready that the store names, so that {@link text} and {@link derive} know it. @returns whether it is there. */
  async ready(version: number): Promise<boolean> {
    return this.#peppers.has(version) || this.#load(version);
  }

  /** After {@link verify} answered `null`: @returns true when the text's version has come meanwhile, so that it is worth another look. */
  async readyForMissing(): Promise<boolean> {
    const version = this.#missing;
    this.#missing = null;
    return version !== null && this.#load(version);
  }

  /** Throws `ledger_unavailable` for a version of the pepper that is not here; see {@link ready}. */
  text(keyId: string, version: number): string {
    const mac = this.#mac(keyId, version);
    if (!mac) {
      throw new Refusal(
        "ledger_unavailable",
        `version ${version} of the pepper, which made this key, cannot be read now`,
      );
    }
    return `vk_${version}_${keyId}_${mac.toString("base64url")}`;
  }

  /** @returns `null` for any text that this proxy did not make. Reads no store. */
  verify(presented: string): ParsedVaultKey | null {
    const match = shape.exec(presented);
    if (!match) return null;
    const keyId = match[2]!;
    const version = Number(match[1]);
    const mac = this.#mac(keyId, version);
    if (!mac) this.#missing = version;
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

  /** MAC of another kind of credential under the same pepper; `null`: this version is not loaded. Equal for no two kinds. */
  sign(kind: string, id: string, version: number): Buffer | null {
    const pepper = this.#peppers.get(version);
    return pepper ? createHmac("sha256", pepper).update(`keybrake ${kind} ${version} ${id}`).digest() : null;
  }

  #mac(keyId: string, version: number): Buffer | null {
    return this.sign("vault key", keyId, version);
  }
}
