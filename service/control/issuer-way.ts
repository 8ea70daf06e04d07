/** Callers with an issuer key: they act under the policy that the key was made for, as that policy is now. */
import { Refusal } from "../errors.ts";
import type { Policies } from "../policies/policies.ts";
import type { VaultKeys } from "../vault-key.ts";
import { verifyIssuerKey } from "./issuer-key.ts";
import type { Issuers } from "./issuers.ts";
import { type Authenticate, issuerPrincipal } from "./principal.ts";

/** A revoked key is refused as any other wrong text is. Throws `policy_denied` when the policy is gone, wrong, or has no issuers. */
export function issuerWay(issuers: Issuers, policies: Policies, vaultKeys: VaultKeys): Authenticate {
  return async (bearer) => {
    const issuerId = await verifyIssuerKey(bearer, vaultKeys);
    const issuer = issuerId === null ? null : await issuers.find(issuerId);
    if (!issuer || issuer.revokedAt !== null) return null;
    const policy = await policies.byId(issuer.policy);
    if (policy && policy.issuer_may.length > 0) return issuerPrincipal(policy, issuer.issuerId);
    throw new Refusal(
      "policy_denied",
      policy
        ? `policy \`${policy.id}\` takes no issuer keys; list \`issuer_may\` in it`
        : `the policy \`${issuer.policy}\` of this issuer key is gone`,
    );
  };
}
