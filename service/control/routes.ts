/** Every route of the control plane. */
import type { Route } from "./route.ts";
import { audit } from "./routes/audit.ts";
import { auditSummary } from "./routes/audit-summary.ts";
import { claim } from "./routes/claim.ts";
import { health } from "./routes/health.ts";
import { issueKey } from "./routes/issue-key.ts";
import { createIssuer, listIssuers, revokeIssuer } from "./routes/issuers.ts";
import { launch } from "./routes/launch.ts";
import { listKeys } from "./routes/list-keys.ts";
import { pauseKey } from "./routes/pause-key.ts";
import { proof } from "./routes/proof.ts";
import { raiseKey } from "./routes/raise-key.ts";
import { reconcile } from "./routes/reconcile.ts";
import { releaseCall } from "./routes/release-call.ts";
import { resumeKey } from "./routes/resume-key.ts";
import { revokeKey } from "./routes/revoke-key.ts";
import { settleCall } from "./routes/settle-call.ts";
import { showCall } from "./routes/show-call.ts";
import { showKey } from "./routes/show-key.ts";
import { showOpenapi } from "./routes/show-openapi.ts";

export const routes: readonly Route[] = [
  issueKey,
  listKeys,
  showKey,
  revokeKey,
  pauseKey,
  resumeKey,
  raiseKey,
  proof,
  audit,
  auditSummary,
  showCall,
  settleCall,
  releaseCall,
  reconcile,
  createIssuer,
  listIssuers,
  revokeIssuer,
  launch,
  claim,
  health,
  showOpenapi,
];
