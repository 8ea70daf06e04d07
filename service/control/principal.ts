/**
 * Who calls the control plane, and what that caller may do. Today there is one kind, the holder of the admin key; issuer keys
 * and Google-signed ID tokens become further {@link Authenticate} functions that answer a principal of their policy.
 */
import { Refusal } from "../errors.ts";
import type { KeyState } from "../ledger/types.ts";

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
  | "claim";

export interface Principal {
  /** Owner of the keys it issues: labels are unique within one owner. */
  owner: string;
  /** Who it is, for the hash chain. */
  by: string;
  may: ReadonlySet<Permission> | "everything";
  /** Whose keys and calls it sees: one owner's, or `null` for all. */
  sees: string | null;
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
  throw new Refusal("unauthenticated", "send `Authorization: Bearer` with the proxy's admin key");
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
