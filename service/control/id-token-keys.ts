/**
 * Google's public keys, by their ids. Kept for as long as Google's answer says; a key server that is down is asked again only after
 * some seconds, and what is known stays in use for an hour beyond its time. Not google-auth-library's own cache: that one asks
 * again for every token while the server is down.
 */
import { createPublicKey } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";

export interface GoogleKeysOptions {
  clock: Pick<Clock, "now">;
  log: Logger;
  /** Stands in for Google's APIs; `null`: Google's own. */
  googleApis: string | null;
  fetch: typeof fetch;
}

/** `jwks_uri` of https://accounts.google.com/.well-known/openid-configuration (read 2026-11). */
const KEYS_ORIGIN = "https://www.googleapis.com";
const KEYS_PATH = "/oauth2/v3/certs";

const TIMEOUT_MS = 3_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** When the answer does not say how long it holds. */
const DEFAULT_AGE_MS = 5 * 60_000;
const MAX_AGE_MS = 24 * 3_600_000;
/** Beyond their time, while no newer ones can be had. */
const GRACE_MS = 3_600_000;
const RETRY_MS = 5_000;
/** A token may name any key, so an unknown one makes us ask no oftener than this. */
const UNKNOWN_KEY_MS = 60_000;
const MIN_MODULUS_BITS = 2048;

const keysShape = z.object({
  keys: z
    .array(z.looseObject({ kty: z.string() }))
    .min(1)
    .max(50),
});
const rsaShape = z.looseObject({ kid: z.string().min(1).max(128), n: z.string(), e: z.string() });

export class GoogleKeys {
  readonly #options: GoogleKeysOptions;
  /** PEM by key id. */
  #keys: ReadonlyMap<string, string> = new Map();
  #freshUntil = Number.NEGATIVE_INFINITY;
  #askedAt = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | null = null;
  #failing = false;

  constructor(options: GoogleKeysOptions) {
    this.#options = options;
  }

  /** @returns the key as PEM; `null` when Google does not publish it, or cannot be asked. Never throws. */
  async key(kid: string): Promise<string | null> {
    const { clock } = this.#options;
    const known = this.#keys.get(kid);
    const now = clock.now();
    const fresh = now < this.#freshUntil;
    if (known !== undefined && fresh) return known;
    const pause = fresh ? UNKNOWN_KEY_MS : RETRY_MS;
    if (!this.#asking && now - this.#askedAt >= pause) {
      this.#askedAt = now;
      this.#asking = this.#ask().finally(() => {
        this.#asking = null;
      });
    }
    await this.#asking;
    return clock.now() < this.#freshUntil + GRACE_MS ? (this.#keys.get(kid) ?? null) : null;
  }

  async #ask(): Promise<void> {
    const { clock, log, googleApis } = this.#options;
    try {
      const response = await this.#options.fetch(`${googleApis ?? KEYS_ORIGIN}${KEYS_PATH}`, {
        redirect: "error",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const text = await boundedText(response);
      if (!response.ok) throw new Error(`it answered ${response.status}`);
      this.#keys = readKeys(text);
      this.#freshUntil = clock.now() + ageOf(response.headers.get("cache-control"));
      if (this.#failing) log.info("Google's keys for ID tokens can be read again");
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) log.warn({ err: error }, "Google's keys for ID tokens cannot be read; it is tried again");
      this.#failing = true;
    }
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of response.body ?? []) {
    length += part.length;
    if (length > MAX_ANSWER_BYTES) throw new Error(`the answer is over ${MAX_ANSWER_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function readKeys(text: string): Map<string, string> {
  const keys = new Map<string, string>();
  for (const each of keysShape.parse(JSON.parse(text)).keys) {
    const { kty } = each;
    // Keys of other kinds may come to stand beside these: https://www.rfc-editor.org/rfc/rfc7517#section-5
    if (kty !== "RSA") continue;
    const { kid, n, e } = rsaShape.parse(each);
    const key = createPublicKey({ key: { kty, n, e }, format: "jwk" });
    if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_MODULUS_BITS) continue;
    keys.set(kid, key.export({ type: "spki", format: "pem" }).toString());
  }
  if (keys.size === 0) throw new Error("the answer has no RSA key");
  return keys;
}

function ageOf(cacheControl: string | null): number {
  const seconds = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i.exec(cacheControl ?? "")?.[1];
  return seconds === undefined ? DEFAULT_AGE_MS : Math.min(Number(seconds) * 1000, MAX_AGE_MS);
}
