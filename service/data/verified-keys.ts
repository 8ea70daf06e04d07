/** Verifies presented vault keys; those that verified are remembered, since a task presents the same text with every call. */
import type { ParsedVaultKey, VaultKeys } from "../vault-key.ts";

/** Texts, task contexts included. */
const MAX_REMEMBERED = 10_000;

export class VerifiedKeys {
  readonly #keys: VaultKeys;
  readonly #verified = new Map<string, ParsedVaultKey>();

  constructor(keys: VaultKeys) {
    this.#keys = keys;
  }

  /** @returns `null` for any text that this proxy did not make; such texts are not remembered. */
  verify(presented: string): ParsedVaultKey | null {
    const known = this.#verified.get(presented);
    if (known) return known;
    const key = this.#keys.verify(presented);
    if (!key) return null;
    if (this.#verified.size >= MAX_REMEMBERED) this.#verified.delete(this.#verified.keys().next().value!);
    this.#verified.set(presented, key);
    return key;
  }

  /** @returns true when a text that was `null` just now may verify: another instance rotated the pepper, and its version is here now. */
  readyForMissing(): Promise<boolean> {
    return this.#keys.readyForMissing();
  }
}
