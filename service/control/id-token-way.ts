/** Callers with an ID token: Google says who it is, a policy says what that one may do. */
import { Refusal } from "../errors.ts";
import type { Policies } from "../policies/policies.ts";
import type { IdTokens } from "./id-token.ts";
import { type Authenticate, accountPrincipal } from "./principal.ts";

/** Throws `policy_denied` for an account that no policy lists: its token is right, so it may know. */
export function idTokenWay(tokens: IdTokens, policies: Policies): Authenticate {
  return async (bearer) => {
    const account = await tokens.verify(bearer);
    if (!account) return null;
    const policy = await policies.ofCaller(account.email, account.sub);
    const principal = policy && accountPrincipal(policy, account);
    if (principal) return principal;
    throw new Refusal(
      "policy_denied",
      policy
        ? `policy \`${policy.id}\` lists ${account.email} with another \`sub\`; write ${account.sub} there if the account was made anew`
        : `no policy of this proxy lists ${account.email}; add it to the principals of one`,
    );
  };
}
