/** Issuer keys: made and ended with the admin key, or under a policy that sees all. */
import { z } from "zod";
import { DEFAULT_PAGE, labelText, pageFields } from "../../audit/audit-filter.ts";
import { Refusal } from "../../errors.ts";
import { policyIdText } from "../../policies/policy.ts";
import { issuerKeyText } from "../issuer-key.ts";
import type { Issuer } from "../issuers.ts";
import { noBody, noQuery } from "../read-input.ts";
import { type ControlDeps, route } from "../route.ts";
import { issuedIssuerShape, issuerListShape, issuerShape } from "../schemas.ts";

export const createIssuer = route({
  operationId: "createIssuer",
  method: "post",
  path: "/issuers",
  summary: "Make an issuer key for a caller outside Google Cloud; its text is shown this once.",
  may: "issuers",
  query: noQuery,
  body: z.strictObject({
    policy: policyIdText.meta({ description: "Policy that the key's holder acts under." }),
    label: labelText.optional().meta({ description: "What you call it." }),
  }),
  answers: { 201: { description: "The issuer key was made.", schema: issuedIssuerShape } },
  codes: ["not_found"],
  async handle({ principal, body }, deps) {
    const { policies } = deps;
    if (!policies) {
      throw new Refusal("not_found", "this proxy has no policies; set KEYBRAKE_POLICIES, or keep them in Firestore");
    }
    const policy = await policies.byId(body.policy);
    if (!policy) throw new Refusal("not_found", `there is no policy \`${body.policy}\`; write it first`);
    if (policy.issuer_may.length === 0) {
      throw new Refusal("policy_denied", `policy \`${policy.id}\` takes no issuer keys; list \`issuer_may\` in it`);
    }
    const issuer = await deps.issuers.create(policy.id, body.label ?? null, principal.by);
    const issuer_key = issuerKeyText(issuer.issuerId, deps.vaultKeys);
    return { status: 201, json: { ...renderIssuer(issuer), issuer_key } };
  },
});

export const listIssuers = route({
  operationId: "listIssuers",
  method: "get",
  path: "/issuers",
  summary: "Issuers, revoked ones too, by id.",
  may: "issuers",
  query: z.strictObject(pageFields),
  body: noBody,
  answers: { 200: { description: "One page of issuers.", schema: issuerListShape } },
  codes: [],
  async handle({ query }, { issuers }: ControlDeps) {
    const page = await issuers.list(query.limit ?? DEFAULT_PAGE, query.cursor ?? null);
    return { status: 200, json: { issuers: page.items.map(renderIssuer), next_cursor: page.cursor } };
  },
});

export const revokeIssuer = route({
  operationId: "revokeIssuer",
  method: "delete",
  path: "/issuers/{issuer_id}",
  summary: "Revoke an issuer key for good. Vault keys that it issued go on; revoke them one by one.",
  may: "issuers",
  query: noQuery,
  body: noBody,
  answers: { 200: { description: "Revoked.", schema: issuerShape } },
  codes: ["not_found"],
  async handle({ principal, params }, { issuers }: ControlDeps) {
    const issuer = await issuers.revoke(params.issuer_id ?? "", principal.by);
    if (!issuer) throw new Refusal("not_found", "there is no issuer with this issuer_id");
    return { status: 200, json: renderIssuer(issuer) };
  },
});

const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());

function renderIssuer(issuer: Issuer): z.input<typeof issuerShape> {
  return {
    issuer_id: issuer.issuerId,
    policy: issuer.policy,
    label: issuer.label,
    status: issuer.revokedAt === null ? "active" : "revoked",
    created_at: new Date(issuer.createdAt).toISOString(),
    created_by: issuer.createdBy,
    revoked_at: iso(issuer.revokedAt),
    revoked_by: issuer.revokedBy,
  };
}
