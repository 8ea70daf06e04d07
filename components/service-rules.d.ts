/**
 * The service's own rules, bundled from `service/for-components.ts` into `dist/service-rules.js`: what the components check, the proxy
 * checks by the same code.
 */

export interface RuleIndexField {
  fieldPath: string;
  order?: string;
  arrayConfig?: string;
}
export interface RuleIndexes {
  indexes: { collectionGroup: string; queryScope: string; fields: RuleIndexField[] }[];
  fieldOverrides: {
    collectionGroup: string;
    fieldPath: string;
    ttl?: boolean;
    indexes: { order?: string; arrayConfig?: string; queryScope: string }[];
  }[];
}
/** A variable that a vendor's SDKs read: `path` is what stands behind the proxy's URL. */
export interface RuleVariable {
  name: string;
  is: "credential" | "path" | "account";
  path: string;
}
export interface RuleVendors {
  ids: string[];
  /** Of these vendors, in their order; two of them may name one variable. Ids that there are not are left out. */
  variables(ids: readonly string[]): RuleVariable[];
  /** Names that a job of these vendors may not set itself. */
  injected(ids: readonly string[]): Set<string>;
  /** @returns one sentence about the first entry that is wrong, else `null`. */
  entriesFault(entries: readonly string[], ids: readonly string[]): string | null;
  /** Reads the policy as a proxy of these vendors does. @returns its fault, else `null`. */
  policyFault(id: string, policy: object, ids: readonly string[]): string | null;
}

/** The built-in connectors, and those of the JSON text. Throws an `Error` of one sentence. */
export function openVendors(connectors: string | null): RuleVendors;
/** What the proxy would say of its variables, one sentence each, else none. */
export function configFaults(env: Readonly<Record<string, string>>): readonly string[];
/** Cloud Run sets such a variable in a task, or keeps it for itself. */
export function isReservedName(name: string): boolean;
export function nearest(given: string, names: readonly string[]): string | null;
/** `90s`, `5m`, `2h`, `30d` → ms; `null`: it is none, or over 30 days. */
export function lifetimeMs(text: string): number | null;
export const MAX_LIFETIME_MS: number;
/** @returns dollars in the form of policies, `2000.00`; `null`: negative, parts of a cent, too many, or no number. */
export function wholeCents(usd: number): string | null;
/** As {@link wholeCents}, down to a millionth of a dollar. */
export function priceText(usd: number): string | null;
export function isLabel(text: string): boolean;
export function isSecretName(text: string): boolean;
export function isOrigin(text: string): boolean;
export const policyPermissions: readonly string[];
export const issuerPermissions: readonly string[];
export const taskPermissions: readonly string[];
export const firestoreIndexes: RuleIndexes;
