/**
 * Who calls the control plane, and what that caller may do: the holder of the admin key, of an issuer key, or of an ID token that
 * Google signed. The last two act under a policy.
 */
import { Refusal } from "../errors.ts";
import type { KeyState } from "../ledger/types.ts";
import { ownerOf, type Policy, taskPermissions } from "../policies/policy.ts";

export type Permission =
  | "issue"
  | "read"
  | "revoke"
  | "pause"
  | "resume"
  | "raise"
  | "decide"
  | "reconcile"
  | "launch"
  | "claim"
  /** Make and end issuer keys. */
  | "issuers";

export interface Principal {
  /** Owner of the keys it issues: labels are unique within one owner. */
  owner: string;
  /** Who it is, for the hash chain. */
  by: string;
  may: ReadonlySet<Permission> | "everything";
  /** Whose keys and calls it sees: one owner's, or `null` for all. */
  sees: string | null;
  /** What bounds the keys that it issues; `null`: nothing does (the admin key). */
  policy: Policy | null;
  /** E-mail of the account that Google vouches for; `null` for static keys. */
  account: string | null;
}

/**
 * Tells the caller from the text behind `Authorization: Bearer`.
 * @returns `null` when the text is not one of this kind; the answer is then the same 401 whatever was wrong with it.
 */
export type Authenticate = (bearer: string) => Promise<Principal | null>;

const bearerShape = /^Bearer ([\x21-\x7e]{1,4096})$/i;

/** Throws `unauthenticated`, with one sentence for every reason, so that nothing is learned by trying. */
export async function authenticate(
  authorization: string | undefined,
  ways: readonly Authenticate[],
): Promise<Principal> {
  const bearer = bearerShape.exec(authorization ?? "")?.[1];
  if (bearer !== undefined) {
    for (const way of ways) {
      const principal = await way(bearer);
      if (principal) return principal;
    }
  }
  throw new Refusal(
    "unauthenticated",
    "send `Authorization: Bearer` with the proxy's admin key, an issuer key, or a Google-signed ID token for its audience",
  );
}

/** An account that Google vouches for. */
export interface Account {
  /** In lower case. */
  email: string;
  sub: string;
}

/** What the policy lets this account do; `null` when none of its principals is this one. */
export function accountPrincipal(policy: Policy, account: Account): Principal | null {
  const own = policy.principals.filter(
    ({ email, sub }) => (email ?? account.email) === account.email && (sub ?? account.sub) === account.sub,
  );
  if (own.length === 0) return null;
  const listed = own.flatMap(({ may }) => may);
  // The rules of a policy see the account's e-mail only; listed by its number alone it still gets no more than a job's account may.
  const isTasks = policy.job?.service_account === account.email;
  const may = isTasks ? listed.filter((permission) => taskPermissions.includes(permission)) : listed;
  return { ...under(policy), by: `${account.email} (policy ${policy.id})`, may: new Set(may), account: account.email };
}

/** What the holder of an issuer key of the policy may do. */
export function issuerPrincipal(policy: Policy, issuerId: string): Principal {
  return {
    ...under(policy),
    by: `issuer ${issuerId} (policy ${policy.id})`,
    may: new Set(policy.issuer_may),
    account: null,
  };
}

function under(policy: Policy): Pick<Principal, "owner" | "sees" | "policy"> {
  const owner = ownerOf(policy.id);
  return { owner, sees: policy.sees === "all" ? null : owner, policy };
}

/** Throws `policy_denied` unless the principal may do this. */
export function demand(principal: Principal, permission: Permission): void {
  if (principal.may === "everything" || principal.may.has(permission)) return;
  throw new Refusal("policy_denied", `your policy does not let you ${permission}`);
}

/** True when the principal may know that the key or call exists. */
export function visible(principal: Principal, owned: Pick<KeyState, "owner">): boolean {
  return principal.sees === null || principal.sees === owned.owner;
}
