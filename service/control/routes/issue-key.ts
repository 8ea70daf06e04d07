import { Refusal } from "../../errors.ts";
import type { IssueRequest } from "../../ledger/ledger.ts";
import { keyIdOf } from "../../ledger/open-ledger.ts";
import { grant } from "../../policies/grant.ts";
import type { Policy } from "../../policies/policy.ts";
import { issueBody } from "../issue-body.ts";
import { toIssueRequest } from "../issue-request.ts";
import { noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { type ControlDeps, route } from "../route.ts";
import { issuedKeyShape } from "../schemas.ts";

/** Get-or-create by (owner, label): a parent that retries gets the key of its first try, never a second budget. */
export const issueKey = route({
  operationId: "issueKey",
  method: "post",
  path: "/vault/keys",
  summary: "Issue the vault key of a label, or get the one it has.",
  may: "issue",
  query: noQuery,
  body: issueBody,
  answers: {
    200: { description: "The label has this key already, asked for with the same body.", schema: issuedKeyShape },
    201: { description: "The key was made.", schema: issuedKeyShape },
  },
  codes: ["label_conflict", "label_retired"],
  async handle({ principal, body }, deps) {
    const { vendors, vaultKeys, clock } = deps;
    const asked = toIssueRequest(body, principal, vendors, vaultKeys.currentVersion, clock.now());
    const { created, key } = await issueUnder(principal.policy, asked, deps);
    // Another instance may have made the key with a newer pepper than this one has seen.
    await vaultKeys.ready(key.pepperVersion);
    return {
      status: created ? 201 : 200,
      json: { ...renderKey(key, clock.now()), vault_key: vaultKeys.text(key.keyId, key.pepperVersion) },
    };
  },
});

/** What a policy lets the caller have of it. */
async function issueUnder(policy: Policy | null, asked: IssueRequest, deps: ControlDeps) {
  const { ledger, vendors, clock } = deps;
  if (!policy) return ledger.issue(asked);
  let granted: IssueRequest;
  try {
    granted = grant(asked, policy, vendors, clock.now());
  } catch (error) {
    const denied = error instanceof Refusal && error.code === "policy_denied";
    if (!denied || !(await ledger.fresh(keyIdOf(asked.owner, asked.label)))) throw error;
    // The policy allowed it once: narrowed since, it breaks no retry. The key is there, and what is not made has no cap.
    granted = { ...asked, capMicros: 0, dailyCapMicros: null };
  }
  return ledger.issue(granted);
}
