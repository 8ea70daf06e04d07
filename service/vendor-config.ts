/** KEYBRAKE_VENDORS: which vendors there are, where their secrets come from, and where their calls go. */
import { z } from "zod";
import { Secret } from "./secrets/secret.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Where a vendor's real secret comes from. */
export type SecretReference =
  /** The value was in the environment when the process started. */
  | { from: "env"; name: string; value: Secret }
  | { from: "file"; path: string }
  /** `projects/P/secrets/S` of Secret Manager: its latest version. */
  | { from: "manager"; name: string };

export interface VendorConfig {
  secret: SecretReference;
  /** Origin to send to instead of the connector's own; `null`: the connector's. */
  upstream: string | null;
}

/** A secret of Secret Manager, without a version: https://cloud.google.com/secret-manager/docs/reference/rest (read 2026-11). */
export const secretName = /^projects\/[a-z0-9-]{1,63}\/secrets\/[A-Za-z0-9_-]{1,255}$/;

const vendorsSchema = z.record(z.string(), z.strictObject({ secret: z.string(), upstream: z.string().optional() }));

/** For sentences. */
export const vendorsExample = `'{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}'`;

/** Adds a sentence to `problems` for each thing that is wrong. */
export function readVendors(text: string | null, env: Environment, problems: string[]): Map<string, VendorConfig> {
  const vendors = new Map<string, VendorConfig>();
  let json: unknown;
  try {
    json = JSON.parse(text ?? "{}");
  } catch {
    problems.push(`KEYBRAKE_VENDORS is not JSON; a valid value is ${vendorsExample}.`);
    return vendors;
  }
  const parsed = vendorsSchema.safeParse(json);
  if (!parsed.success) {
    const { issues } = parsed.error;
    const issue = issues.find(({ code }) => code === "unrecognized_keys") ?? issues[0]!;
    const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0]!] : issue.path;
    problems.push(
      `KEYBRAKE_VENDORS${path.length > 0 ? ` is wrong at ${path.join(".")}` : " is wrong"}: it maps each vendor's id to its "secret" and, if need be, "upstream"; a valid value is ${vendorsExample}.`,
    );
    return vendors;
  }
  for (const [id, { secret, upstream }] of Object.entries(parsed.data)) {
    const reference = readReference(id, secret, env, problems);
    const origin = upstream === undefined ? null : readUpstream(id, upstream, problems);
    if (reference) vendors.set(id, { secret: reference, upstream: origin });
  }
  return vendors;
}

function readReference(id: string, text: string, env: Environment, problems: string[]): SecretReference | null {
  const [, kind, rest] = /^(env|file):(.+)$/s.exec(text) ?? [];
  if (kind === "file") return { from: "file", path: rest! };
  if (secretName.test(text)) return { from: "manager", name: text };
  if (kind === "env" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest!)) {
    const value = env[rest!];
    if (value) return { from: "env", name: rest!, value: new Secret(id, value) };
    problems.push(`KEYBRAKE_VENDORS takes the secret of ${id} from ${rest}, which is not set; set ${rest} to it.`);
    return null;
  }
  problems.push(
    text.startsWith("projects/")
      ? `KEYBRAKE_VENDORS names no secret for ${id}: without a version, a valid value is "projects/my-project/secrets/${id}".`
      : // The text is not repeated: it may be the secret itself, written where its place belongs.
        `KEYBRAKE_VENDORS must say where the secret of ${id} is, not what it is; a valid value is "env:NAME", "file:PATH" or "projects/PROJECT/secrets/SECRET".`,
  );
  return null;
}

export function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(host);
}

/** @returns the origin of a text that is one and nothing more, else `null`. */
export function originOf(text: string): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const bare = url !== null && url.pathname === "/" && !url.search && !url.hash && !url.username && !url.password;
  return bare && /^https?:$/.test(url.protocol) ? url.origin : null;
}

function readUpstream(id: string, text: string, problems: string[]): string | null {
  const origin = originOf(text);
  if (origin !== null && (origin.startsWith("https:") || isLoopback(new URL(origin).hostname))) return origin;
  problems.push(
    `KEYBRAKE_VENDORS has a wrong "upstream" for ${id}: it must be an https origin without a path (http only on loopback); a valid value is "https://api.example.com".`,
  );
  return null;
}
