/** First path segments of the control plane: no vendor may have one of these ids, since the id is its mount. */
export const reservedWords: ReadonlySet<string> = new Set([
  "vault",
  "audit",
  "calls",
  "jobs",
  "issuers",
  "health",
  "reconcile",
  "openapi.json",
]);
