/** Google as a signer of ID tokens: RSA keys, tokens of accounts, and the public keys at the address where Google has them. */
import { createSign, generateKeyPairSync, hash, type KeyObject } from "node:crypto";
import { googleError, type LocalAnswer, type LocalApi } from "./local-api.ts";

export interface IdTokenOptions {
  /** Without the e-mail, as the metadata server answers unless it is asked for `format=full`; default `true`. */
  full?: boolean;
}

export interface GoogleIdentity {
  /** As Google signs it for an account: valid from now for an hour. */
  idToken(email: string, audience: string, options?: IdTokenOptions): string;
  /** Any claims under any header, signed with the current key by RS256. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): string;
  /** Claims of a valid token. */
  claims(email: string, audience: string): Record<string, unknown>;
  /** Id of the key that signs. */
  readonly kid: string;
  /** The public key as PEM. */
  readonly publicKey: string;
  /** From now on another key signs. `publishOld`: tokens of the one before stay good; default `true`. */
  rotate(publishOld?: boolean): void;
  /** `null`: the keys. Else how their address answers from now on. */
  answerWith(answer: LocalAnswer | null): void;
  /** Requests for the keys so far. */
  readonly requests: number;
  api: LocalApi;
}

export interface GoogleIdentityOptions {
  /** ms; default the system's. */
  now?: () => number;
  /** How long an answer with the keys may be kept, s; Google says some hours. */
  maxAgeS?: number;
}

interface SigningKey {
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** https://www.googleapis.com/oauth2/v3/certs (read 2026-11). */
const KEYS_PATH = "/oauth2/v3/certs";

export function createGoogleIdentity(options: GoogleIdentityOptions = {}): GoogleIdentity {
  const now = options.now ?? Date.now;
  const published: SigningKey[] = [makeKey()];
  let forced: LocalAnswer | null = null;
  let requests = 0;

  const current = (): SigningKey => published.at(-1)!;
  const sign: GoogleIdentity["sign"] = (claims, header = {}) => {
    const { kid, privateKey } = current();
    const signed = [{ alg: "RS256", kid, typ: "JWT", ...header }, claims].map(encode).join(".");
    return `${signed}.${createSign("RSA-SHA256").update(signed).sign(privateKey, "base64url")}`;
  };
  const claims: GoogleIdentity["claims"] = (email, audience) => {
    const iat = Math.floor(now() / 1000);
    const sub = subjectOf(email);
    return {
      ...{ aud: audience, azp: sub, email, email_verified: true },
      ...{ exp: iat + 3600, iat, iss: "https://accounts.google.com", sub },
    };
  };

  return {
    sign,
    claims,
    idToken: (email, audience, { full = true } = {}) => {
      const { email: _email, email_verified: _verified, ...bare } = claims(email, audience);
      return sign(full ? claims(email, audience) : bare);
    },
    get kid() {
      return current().kid;
    },
    get publicKey() {
      return current().publicKey.export({ type: "spki", format: "pem" }).toString();
    },
    rotate: (publishOld = true) => {
      if (!publishOld) published.length = 0;
      published.push(makeKey());
    },
    answerWith: (answer) => {
      forced = answer;
    },
    get requests() {
      return requests;
    },
    api: async ({ method, path }) => {
      if (path !== KEYS_PATH) return null;
      requests += 1;
      if (forced) return forced;
      if (method !== "GET") return googleError(405, "the keys are only read");
      return {
        status: 200,
        json: { keys: published.map(jwk) },
        headers: { "cache-control": `public, max-age=${options.maxAgeS ?? 20_000}, must-revalidate, no-transform` },
      };
    },
  };
}

/** The number that Google knows an account by: here the same for the same e-mail. */
export function subjectOf(email: string): string {
  return BigInt(`0x${hash("sha256", email).slice(0, 16)}`)
    .toString()
    .padStart(21, "1");
}

function makeKey(): SigningKey {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { n } = pair.publicKey.export({ format: "jwk" });
  return { kid: hash("sha256", String(n)).slice(0, 40), ...pair };
}

function jwk({ kid, publicKey }: SigningKey): Record<string, unknown> {
  return { ...publicKey.export({ format: "jwk" }), alg: "RS256", kid, use: "sig" };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
