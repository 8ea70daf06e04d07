/**
 * What is kept of a call's messages, sealed (AES-256-GCM) under keys that follow from the vault key's text, so that neither the
 * database nor an export shows it: the answer to a settled call, for its repeats, and the facts that a look-up needs.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";
import type { Random } from "../clock.ts";
import type { KeyState } from "../ledger/types.ts";
import type { VaultKeys } from "../vault-key.ts";
import type { LookupFacts } from "../vendors/vendor.ts";

export interface KeptAnswer {
  status: number;
  /** Flat: name, value, name, value. */
  headers: string[];
  body: Buffer;
}

/** What of a request a later look-up needs. */
export type LookupBasis = Pick<LookupFacts, "body" | "headers">;

type Purpose = "receipt" | "lookup";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const NONCES_DRAWN = 256;
const CACHED_KEYS = 2000;
/** Bytes of a look-up's facts. None may be left out: a look-up that compares less could take another call for this one. */
const MAX_FACTS = 64 * 1024;

/** A look-up that needs nothing of the request: there is nothing to seal. */
const NO_FACTS = "";

const isEmpty = (map: object): boolean => {
  for (const _ in map) return false;
  return true;
};

export class Seals {
  readonly #keys: VaultKeys;
  readonly #random: Random;
  /** A `KeyObject` is used three times as fast as the same bytes (Node 24, measured 2026-11). */
  readonly #derived = new Map<string, KeyObject>();
  #nonces: Buffer = Buffer.alloc(0);

  constructor(keys: VaultKeys, random: Random) {
    this.#keys = keys;
    this.#random = random;
  }

  sealAnswer(key: KeyState, callId: string, answer: KeptAnswer): string {
    const head = Buffer.from(`${JSON.stringify([answer.status, answer.headers])}\n`);
    return this.#seal(key.keyId, key.pepperVersion, "receipt", callId, Buffer.concat([head, answer.body]));
  }

  /** @returns `null` for what was not sealed for this key and call. */
  openAnswer(key: KeyState, callId: string, sealed: string): KeptAnswer | null {
    const plain = this.#open(key.keyId, "receipt", callId, sealed);
    if (!plain) return null;
    const end = plain.indexOf(10);
    const [status, headers] = JSON.parse(plain.toString("utf8", 0, end)) as [number, string[]];
    return { status, headers, body: plain.subarray(end + 1) };
  }

  /** `null` when the facts are too many to keep: then the call cannot be looked up, and stays unknown if it becomes so. */
  sealLookup(key: KeyState, facts: LookupBasis): string | null {
    if (isEmpty(facts.body) && isEmpty(facts.headers)) return NO_FACTS;
    const plain = Buffer.from(JSON.stringify([facts.body, facts.headers]));
    return plain.length > MAX_FACTS ? null : this.#seal(key.keyId, key.pepperVersion, "lookup", key.keyId, plain);
  }

  /** @returns `null` when there is nothing to open, or it was not sealed for this key. */
  openLookup(keyId: string, sealed: string | null): LookupBasis | null {
    if (sealed === NO_FACTS) return { body: {}, headers: {} };
    const plain = sealed === null ? null : this.#open(keyId, "lookup", keyId, sealed);
    if (!plain) return null;
    const [body, headers] = JSON.parse(plain.toString("utf8")) as [LookupBasis["body"], LookupBasis["headers"]];
    return { body, headers };
  }

  #seal(keyId: string, version: number, purpose: Purpose, about: string, plain: Buffer): string {
    const nonce = this.#nonce();
    const cipher = createCipheriv("aes-256-gcm", this.#key(keyId, version, purpose), nonce);
    cipher.setAAD(Buffer.from(about));
    const sealed = Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
    return `${version}.${sealed.toString("base64")}`;
  }

  #open(keyId: string, purpose: Purpose, about: string, text: string): Buffer | null {
    const dot = text.indexOf(".");
    const sealed = Buffer.from(text.slice(dot + 1), "base64");
    if (dot < 1 || sealed.length < NONCE_BYTES + TAG_BYTES) return null;
    try {
      const key = this.#key(keyId, Number(text.slice(0, dot)), purpose);
      const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(about)).setAuthTag(sealed.subarray(-TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
    } catch {
      return null;
    }
  }

  /** Random bytes are drawn in bulk: a draw costs the same for 12 and for thousands. */
  #nonce(): Buffer {
    if (this.#nonces.length < NONCE_BYTES) this.#nonces = this.#random.bytes(NONCE_BYTES * NONCES_DRAWN);
    const nonce = this.#nonces.subarray(0, NONCE_BYTES);
    this.#nonces = this.#nonces.subarray(NONCE_BYTES);
    return nonce;
  }

  #key(keyId: string, version: number, purpose: Purpose): KeyObject {
    const name = `${purpose} ${version} ${keyId}`;
    const known = this.#derived.get(name);
    if (known) return known;
    const key = createSecretKey(this.#keys.derive(keyId, version, purpose));
    if (this.#derived.size >= CACHED_KEYS) this.#derived.delete(this.#derived.keys().next().value!);
    this.#derived.set(name, key);
    return key;
  }
}
