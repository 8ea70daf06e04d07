/**
 * Google-signed ID tokens (https://cloud.google.com/docs/authentication/token-types#id, read 2026-11): who calls, as Google vouches
 * for it. What costs nothing is checked first, so that a wrong text makes no crypto and no request.
 */
import type { Clock } from "../clock.ts";
import { claimsReader, googleIssuers, parseAccount } from "./id-token-claims.ts";
import type { GoogleKeys } from "./id-token-keys.ts";
import type { Account } from "./principal.ts";

/** google-auth-library's verifier, as far as it is used. */
type Verifier = Pick<InstanceType<typeof import("google-auth-library").OAuth2Client>, "verifySignedJwtWithCertsAsync">;

export interface IdTokensOptions {
  /** What `aud` must be, exactly. */
  audience: string;
  keys: GoogleKeys;
  clock: Pick<Clock, "now">;
}

export class IdTokens {
  readonly #options: IdTokensOptions;
  readonly #read: ReturnType<typeof claimsReader>;
  #verifier: Promise<Verifier> | null = null;

  constructor(options: IdTokensOptions) {
    this.#options = options;
    this.#read = claimsReader(options.audience);
  }

  /** @returns `null` for any text that is not a valid ID token for this proxy, whatever is wrong with it. Never throws. */
  async verify(token: string): Promise<Account | null> {
    const { audience, keys, clock } = this.#options;
    const claims = this.#read(token, clock.now());
    if (!claims) return null;
    const key = await keys.key(claims.kid);
    if (key === null) return null;
    this.#verifier ??= import("google-auth-library").then(({ OAuth2Client }) => new OAuth2Client());
    try {
      const verifier = await this.#verifier;
      // Checks audience, issuer and times once more: these by the system's clock, and with 300 s of grace instead of ours.
      const ticket = await verifier.verifySignedJwtWithCertsAsync(token, { [claims.kid]: key }, audience, [
        ...googleIssuers,
      ]);
      return parseAccount(ticket.getPayload());
    } catch {
      // The library's messages repeat the token, so they go nowhere.
      return null;
    }
  }
}
