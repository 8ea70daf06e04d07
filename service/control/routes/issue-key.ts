import { issueBody } from "../issue-body.ts";
import { toIssueRequest } from "../issue-request.ts";
import { noQuery } from "../read-input.ts";
import { renderKey } from "../render.ts";
import { route } from "../route.ts";
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
  async handle({ principal, body }, { ledger, vendors, vaultKeys, clock }) {
    const request = toIssueRequest(body, principal, vendors, vaultKeys.currentVersion, clock.now());
    const { created, key } = await ledger.issue(request);
    return {
      status: created ? 201 : 200,
      json: { ...renderKey(key, clock.now()), vault_key: vaultKeys.text(key.keyId, key.pepperVersion) },
    };
  },
});
