/**
 * The request target as received, read in exactly one way. No URL parser is asked: they normalise, and two that
 * disagree are a bypass of the allow-list. Nothing is decided on Host or on forwarded headers.
 */
import { Refusal } from "../errors.ts";
import type { KeyState } from "../ledger/types.ts";
import type { Vendor } from "../vendors/vendor.ts";

export interface Target {
  /** The vendor that the mount names; `null` for a bare path. */
  mounted: Vendor | null;
  /** The vendor's own path, split at its slashes; at least one, none empty. */
  segments: readonly string[];
  /** Raw text behind `?`; `""` when there is none. */
  query: string;
}

const segmentText = /^[A-Za-z0-9_.@+-]+$/;
const queryText = /^[\x21\x22\x24-\x7e]*$/;
/** The start of every vault key's text. */
const keyText = /vk_[1-9]\d{0,5}_[a-z2-7]{26}_/;

/** Throws `request_invalid`. */
export function parseTarget(url: string, vendors: ReadonlyMap<string, Vendor>, maxBytes: number): Target {
  if (url.length > maxBytes) throw invalid(`the request target is over ${maxBytes} bytes`);
  if (url.charCodeAt(0) !== 47) {
    throw invalid("the request target must be a path (`/stripe/v1/…`), not an absolute URL or `*`");
  }
  const mark = url.indexOf("?");
  const path = mark < 0 ? url : url.slice(0, mark);
  const query = mark < 0 ? "" : url.slice(mark + 1);
  if (!queryText.test(query)) throw invalid("the query holds a character that must be percent-encoded");
  // Paths are recorded; a vault key's text never is.
  if (keyText.test(url)) throw invalid("a vault key's text has no place in a path or query");
  const segments = path.slice(1).split("/");
  const mounted = vendors.get(segments[0]!) ?? null;
  // resend-node 6.38 joins a base URL that ends in a slash with `/emails`.
  if (mounted) segments.splice(0, segments.length > 2 && segments[1] === "" ? 2 : 1);
  if (segments.length === 0) throw invalid("the path ends behind the vendor's mount; add the vendor's own path");
  for (const segment of segments) checkSegment(segment);
  return { mounted, segments, query };
}

function checkSegment(segment: string): void {
  if (segment === "") throw invalid("the path has an empty segment; write single slashes and none at the end");
  if (segment === "." || segment === "..") throw invalid("the path has a dot segment; write the path out");
  if (!segmentText.test(segment)) {
    throw invalid("a path segment may hold letters, digits and _ - . @ + only, and nothing percent-encoded");
  }
}

const invalid = (sentence: string) => new Refusal("request_invalid", sentence);

/** The mount's vendor; for a bare path the one of the key's vendors that has it. */
export function chooseVendor(target: Target, key: KeyState, vendors: ReadonlyMap<string, Vendor>): Vendor {
  const { vendors: own } = key.scope;
  if (target.mounted) {
    if (own.includes(target.mounted.id)) return target.mounted;
    throw new Refusal("endpoint_not_allowed", `this vault key is not for the vendor ${target.mounted.id}`);
  }
  const mine = own.flatMap((id) => vendors.get(id) ?? []);
  const vendor = mine.length === 1 ? mine[0] : mine.find((each) => each.ownsPath(target.segments));
  if (!vendor) {
    throw new Refusal(
      "endpoint_unpriced",
      "none of this vault key's vendors has this path; begin it with the vendor's name",
    );
  }
  return vendor;
}
