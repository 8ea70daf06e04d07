/**
 * What the Pulumi components ask the service's own code, so that a preview refuses what the proxy would refuse: bundled into
 * `components/dist/service-rules.js`.
 */
import { labelText } from "./audit/audit-filter.ts";
import { ConfigError, readConfig } from "./config.ts";
import { capUsd, priceUsd } from "./control/dollars.ts";
import { MAX_LIFETIME_MS, parseLifetime } from "./control/duration.ts";
import { Refusal } from "./errors.ts";
import { formatUsd } from "./money.ts";
import { nearest } from "./nearest.ts";
import { issuerPermissions, policyPermissions, taskPermissions } from "./policies/policy.ts";
import { readPolicy } from "./policies/policy-rules.ts";
import { scopeEndpoints } from "./policies/scope-endpoints.ts";
import { injectedNames, isReservedName } from "./setup/injected-variables.ts";
import firestoreIndexes from "./stores/firestore-indexes.json" with { type: "json" };
import { originOf, secretName } from "./vendor-config.ts";
import { loadVendors } from "./vendors/index.ts";
import type { Vendor } from "./vendors/vendor.ts";

type Rules = typeof import("../components/service-rules.d.ts");

const opened = new Map<string | null, ReturnType<Rules["openVendors"]>>();

function openVendors(connectors: string | null): ReturnType<Rules["openVendors"]> {
  const known = opened.get(connectors) ?? vendorsOf(connectors);
  opened.set(connectors, known);
  return known;
}

function vendorsOf(connectors: string | null): ReturnType<Rules["openVendors"]> {
  const all = loadVendors({ ...(connectors !== null && { connectors: JSON.parse(connectors) }), now: Date.now });
  const some = (ids: readonly string[]): Vendor[] => ids.flatMap((id) => all.get(id) ?? []);
  return {
    ids: [...all.keys()],
    variables: (ids) =>
      some(ids).flatMap(({ variables }) =>
        variables.map((variable) => ({ name: variable.name, is: variable.is, path: pathOf(variable) })),
      ),
    injected: (ids) => injectedNames(some(ids)),
    entriesFault(entries, ids) {
      try {
        scopeEndpoints(entries, some(ids));
        return null;
      } catch (error) {
        if (error instanceof Refusal) return error.message.replace(/^\w+: /, "").replace(/^`allowed_endpoints`: /, "");
        throw error;
      }
    },
    policyFault(id, policy, ids) {
      const read = readPolicy(
        id,
        policy as Parameters<typeof readPolicy>[1],
        new Map(some(ids).map((one) => [one.id, one])),
      );
      return "fault" in read ? read.fault : null;
    },
  };
}

const pathOf = (variable: Vendor["variables"][number]): string => (variable.is === "path" ? variable.path : "");

function configFaults(env: Readonly<Record<string, string>>): readonly string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

const dollarsText = (read: { success: boolean; data?: number }): string | null =>
  read.success && read.data !== undefined ? formatUsd(read.data) : null;

const rules: Rules = {
  openVendors,
  configFaults,
  isReservedName,
  nearest,
  lifetimeMs: parseLifetime,
  MAX_LIFETIME_MS,
  wholeCents: (usd) => dollarsText(capUsd.safeParse(usd)),
  priceText: (usd) => dollarsText(priceUsd.safeParse(usd)),
  isLabel: (text) => labelText.safeParse(text).success,
  isSecretName: (text) => secretName.test(text),
  isOrigin: (text) => originOf(text) !== null,
  policyPermissions,
  issuerPermissions,
  taskPermissions,
  firestoreIndexes,
};
export default rules;
