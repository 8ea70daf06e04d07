/** What a token says of itself before anybody has checked its signature: enough to refuse nearly all that is wrong. Pure. */
import { z } from "zod";
import type { Account } from "./principal.ts";

/** Both spellings that Google uses (https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload, read 2026-11). */
export const googleIssuers = ["https://accounts.google.com", "accounts.google.com"] as const;

/** Difference between our clock and Google's that is forgiven, s. */
const SKEW_S = 60;
/** Google's tokens live one hour; its own samples show 65 minutes between `iat` and `exp`. */
const MAX_LIFE_S = 2 * 3600;

/** Three parts of base64url; Google's are about 1,200 characters. */
const shape = /^([A-Za-z0-9_-]{1,512})\.([A-Za-z0-9_-]{1,3072})\.([A-Za-z0-9_-]{64,1024})$/;

/** RS256 only: `none` and an HMAC under the public key are what forgers try. An extension marked critical is one that we lack. */
const headerShape = z.object({
  alg: z.literal("RS256"),
  kid: z.string().min(1).max(128),
  typ: z.literal("JWT").optional(),
  crit: z.undefined().optional(),
});

const accountShape = z.object({
  email: z.string().regex(/^[!-?A-~]{1,128}@[!-?A-~]{1,128}$/),
  email_verified: z.literal(true),
  sub: z.string().regex(/^\d{1,64}$/),
});

const seconds = z.int().positive();

/**
 * @returns what reads a token at a time (ms): the id of the key that must have signed it, or `null` when it cannot be valid then for
 * this audience.
 */
export function claimsReader(audience: string): (token: string, now: number) => { kid: string } | null {
  const claimsShape = z.object({
    ...accountShape.shape,
    aud: z.literal(audience),
    iss: z.enum(googleIssuers),
    iat: seconds,
    exp: seconds,
    nbf: seconds.optional(),
  });
  return (token, now) => {
    const parts = shape.exec(token);
    if (!parts) return null;
    const header = headerShape.safeParse(decode(parts[1]!));
    if (!header.success) return null;
    const claims = claimsShape.safeParse(decode(parts[2]!));
    if (!claims.success) return null;
    const { iat, exp, nbf } = claims.data;
    const at = now / 1000;
    const begun = Math.max(iat, nbf ?? 0) - SKEW_S <= at;
    return begun && at < exp + SKEW_S && exp > iat && exp - iat <= MAX_LIFE_S ? { kid: header.data.kid } : null;
  };
}

/** The account of a payload whose signature is right. */
export function parseAccount(payload: unknown): Account | null {
  const account = accountShape.safeParse(payload);
  return account.success ? { email: account.data.email.toLowerCase(), sub: account.data.sub } : null;
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}
