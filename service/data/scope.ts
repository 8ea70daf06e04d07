/** Does the key's allow-list have this operation? */
import { Refusal } from "../errors.ts";
import type { Scope } from "../ledger/types.ts";
import type { Operation, Vendor } from "../vendors/vendor.ts";

/** Throws `endpoint_not_allowed`. */
export function checkScope(scope: Scope, vendor: Vendor, operation: Operation): void {
  if (vendor.allows(entriesFor(scope, vendor.id), operation)) return;
  throw new Refusal("endpoint_not_allowed", `this vault key's allowed_endpoints do not list ${operation.endpoint}`);
}

/** The entries that speak of this vendor, without their `vendor:` prefix. With several vendors only `*` needs none. */
function entriesFor(scope: Scope, vendorId: string): readonly string[] {
  const alone = scope.vendors.length === 1;
  const prefix = `${vendorId}:`;
  const entries: string[] = [];
  for (const entry of scope.allowedEndpoints) {
    if (entry.startsWith(prefix)) entries.push(entry.slice(prefix.length));
    else if (alone || entry === "*") entries.push(entry);
  }
  return entries;
}
