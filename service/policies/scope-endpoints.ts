/** `allowed_endpoints` as a key's scope keeps them: bare with one vendor, `vendor:entry` with several. */
import type { BudgetVendor } from "../control/route.ts";
import { Refusal } from "../errors.ts";

const invalid = (sentence: string): Refusal => new Refusal("request_invalid", sentence);

/** Throws `request_invalid` for an entry that names no operation of these vendors, or not which vendor's. */
export function scopeEndpoints(entries: readonly string[], vendors: readonly BudgetVendor[]): string[] {
  const [only] = vendors;
  const single = vendors.length === 1;
  const names = vendors.map(({ id }) => id);
  const checked = entries.flatMap((entry) => {
    const prefixed = /^([^\s:/]+):(.*)$/s.exec(entry);
    const vendor = prefixed ? vendors.find((candidate) => candidate.id === prefixed[1]) : single ? only : undefined;
    if (!prefixed && !single && entry === "*") return vendors.map((each) => `${each.id}:*`);
    if (prefixed && !vendor) {
      throw invalid(
        `\`${entry.slice(0, 200)}\` names a vendor that this key is not for; it is for ${names.join(", ")}`,
      );
    }
    if (!vendor) {
      const example = `${names[0]}:${entry}`.slice(0, 200);
      throw invalid(`with several vendors an endpoint names its own: write \`${example}\``);
    }
    const bare = prefixed ? prefixed[2]! : entry;
    const wrong = vendor.checkAllowed(bare);
    if (wrong !== null) throw invalid(`\`allowed_endpoints\`: ${wrong}`);
    return [single ? bare : `${vendor.id}:${bare}`];
  });
  return [...new Set(checked)];
}

/** @returns one sentence when a bare path is of two of the vendors: then the vendor of such a request could not be told. */
export function sharedPath(vendors: readonly BudgetVendor[]): string | null {
  for (const [index, left] of vendors.entries()) {
    for (const right of vendors.slice(index + 1)) {
      const shared = overlap(left, right) ?? overlap(right, left);
      if (shared !== null) return `${left.id} and ${right.id} both have the path ${shared}`;
    }
  }
  return null;
}

/** A bare path of `left` that `right` would answer too. */
function overlap(left: BudgetVendor, right: BudgetVendor): string | null {
  for (const { endpoint } of left.endpoints) {
    const path = endpoint.slice(endpoint.indexOf(" ") + 1);
    const segments = path
      .split("/")
      .slice(1)
      .map((segment) => segment.replace(/\{[^}]*\}/g, "x"));
    if (left.ownsPath(segments) && right.ownsPath(segments)) return path;
  }
  return null;
}

/** The entries of each vendor, bare. A vendor of the scope that no entry names has none. */
export function endpointsByVendor(vendors: readonly string[], entries: readonly string[]): Map<string, string[]> {
  if (vendors.length === 1) return new Map([[vendors[0]!, [...entries]]]);
  const found = new Map<string, string[]>(vendors.map((id) => [id, []]));
  for (const entry of entries) {
    const at = entry.indexOf(":");
    found.get(entry.slice(0, at))?.push(entry.slice(at + 1));
  }
  return found;
}

/** The other way round: {@link endpointsByVendor}. */
export function endpointsOfScope(found: ReadonlyMap<string, readonly string[]>): string[] {
  if (found.size === 1) return [...[...found.values()][0]!];
  return [...found].flatMap(([id, entries]) => entries.map((entry) => `${id}:${entry}`));
}
