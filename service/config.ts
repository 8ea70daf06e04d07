/**
 * The service's configuration: a pure function from environment variables. Every wrong or missing value is one sentence that
 * names the variable and a valid value, and all of them are told at once.
 */
import { z } from "zod";
import { nearest } from "./nearest.ts";
import { Secret } from "./secrets/secret.ts";

/** Where a vendor's real secret comes from. */
export type SecretReference =
  /** The value was in the environment when the process started. */
  { from: "env"; name: string; value: Secret } | { from: "file"; path: string };

export interface VendorConfig {
  secret: SecretReference;
  /** Origin to send to instead of the connector's own; `null`: the connector's. */
  upstream: string | null;
}

export interface Config {
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** As in KEYBRAKE_STORE: `sqlite:FILE` or `sqlite::memory:`. */
  store: string;
  adminKey: Secret | null;
  /** File of the pepper, or `null`: one in memory, gone with a store in memory. */
  pepperFile: string | null;
  vendors: ReadonlyMap<string, VendorConfig>;
  /** The user's own connectors: a file to read, JSON to parse, or none. */
  connectors: { from: "file"; path: string } | { from: "json"; text: string } | null;
  /** Audience that ID tokens must carry. */
  audience: string | null;
  /** Sentences for the log: odd, but no reason to stop. */
  warnings: string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The values are wrong; `problems` has one sentence each. */
export class ConfigError extends Error {
  override name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** Variables of the service. */
const serviceNames = [
  "KEYBRAKE_STORE",
  "KEYBRAKE_ADMIN_KEY",
  "KEYBRAKE_PEPPER",
  "KEYBRAKE_VENDORS",
  "KEYBRAKE_CONNECTORS",
  "KEYBRAKE_AUDIENCE",
] as const;

/** Variables of the command line and of tasks, which may be set beside the service's. */
const otherNames = ["KEYBRAKE_URL", "KEYBRAKE_VAULT_KEY"] as const;

const vendorsSchema = z.record(z.string(), z.strictObject({ secret: z.string(), upstream: z.string().optional() }));

const vendorsExample = `'{"stripe":{"secret":"env:STRIPE_SECRET_KEY"}}'`;
const MIN_ADMIN_KEY_LENGTH = 32;

/** Throws {@link ConfigError}. An empty variable counts as not set. */
export function readConfig(env: Environment): Config {
  const problems: string[] = [];
  const warnings: string[] = [];
  const get = (name: string): string | null => env[name]?.trim() || null;
  unknownNames(env, problems, warnings);
  const store = readStore(get("KEYBRAKE_STORE"), problems);
  const config: Config = {
    host: get("HOST") ?? (get("K_SERVICE") ? "0.0.0.0" : "127.0.0.1"),
    port: readPort(get("PORT"), problems),
    store,
    adminKey: readAdminKey(env.KEYBRAKE_ADMIN_KEY, problems),
    pepperFile: readPepper(get("KEYBRAKE_PEPPER"), store, problems),
    vendors: readVendors(get("KEYBRAKE_VENDORS"), env, problems),
    connectors: readConnectors(get("KEYBRAKE_CONNECTORS")),
    audience: get("KEYBRAKE_AUDIENCE"),
    warnings,
  };
  if (!/^[A-Za-z0-9.:-]{1,255}$/.test(config.host)) {
    problems.push("HOST must be an address or host name to listen on; a valid value is 127.0.0.1.");
  }
  if (config.vendors.size === 0 && problems.length === 0) {
    warnings.push(`KEYBRAKE_VENDORS lists no vendor, so that no key can be issued; an example is ${vendorsExample}.`);
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** A name that is nearly one of ours is a typing mistake, and stops the start; other ones may be somebody else's. */
function unknownNames(env: Environment, problems: string[], warnings: string[]): void {
  const known: readonly string[] = [...serviceNames, ...otherNames];
  for (const name of Object.keys(env)) {
    if (!name.startsWith("KEYBRAKE_") || known.includes(name)) continue;
    const near = nearest(
      name.slice("KEYBRAKE_".length),
      known.map((each) => each.slice("KEYBRAKE_".length)),
    );
    if (near === null) warnings.push(`${name} is not a variable of this service; it is left aside.`);
    else problems.push(`${name} is not a variable of this service; write KEYBRAKE_${near}, or unset it.`);
  }
}

function readPort(text: string | null, problems: string[]): number {
  if (text === null) return 8080;
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  problems.push("PORT must be a whole number from 0 (picks a free one) to 65535; a valid value is 8080.");
  return 0;
}

function readStore(text: string | null, problems: string[]): string {
  const spec = text ?? "sqlite:keybrake.db";
  if (/^sqlite:.+$/.test(spec)) return spec;
  problems.push(
    spec.startsWith("firestore:")
      ? "KEYBRAKE_STORE names Firestore, which this version does not have; a valid value is sqlite:keybrake.db."
      : "KEYBRAKE_STORE must be sqlite:FILE or sqlite::memory:; a valid value is sqlite:keybrake.db.",
  );
  return spec;
}

/** Not trimmed: what is compared is what the operator wrote. */
function readAdminKey(text: string | undefined, problems: string[]): Secret | null {
  if (text === undefined || text === "") return null;
  if (text.length < MIN_ADMIN_KEY_LENGTH) {
    problems.push(
      `KEYBRAKE_ADMIN_KEY has ${text.length} characters and needs at least ${MIN_ADMIN_KEY_LENGTH}; make one with \`openssl rand -base64 32\`.`,
    );
  } else if (!/^[\x21-\x7e]{1,4096}$/.test(text)) {
    problems.push(
      "KEYBRAKE_ADMIN_KEY must be of visible ASCII characters without spaces; make one with `openssl rand -base64 32`.",
    );
  }
  return new Secret("admin key", text);
}

function readPepper(text: string | null, store: string, problems: string[]): string | null {
  if (text === null) {
    const file = store.slice("sqlite:".length);
    return file === ":memory:" ? null : `${file}.pepper`;
  }
  const path = /^file:(.+)$/s.exec(text)?.[1];
  if (path !== undefined) return path;
  problems.push(
    text.startsWith("projects/")
      ? "KEYBRAKE_PEPPER names a secret of Secret Manager, which this version cannot read; a valid value is file:keybrake.pepper."
      : "KEYBRAKE_PEPPER must be file:PATH; a valid value is file:keybrake.pepper.",
  );
  return null;
}

function readConnectors(text: string | null): Config["connectors"] {
  if (text === null) return null;
  return /^[[{]/.test(text) ? { from: "json", text } : { from: "file", path: text.replace(/^file:/, "") };
}

function readVendors(text: string | null, env: Environment, problems: string[]): Map<string, VendorConfig> {
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
    const { path } = parsed.error.issues[0]!;
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
  if (kind === "env" && /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest!)) {
    const value = env[rest!];
    if (value) return { from: "env", name: rest!, value: new Secret(id, value) };
    problems.push(`KEYBRAKE_VENDORS takes the secret of ${id} from ${rest}, which is not set; set ${rest} to it.`);
    return null;
  }
  problems.push(
    text.startsWith("projects/")
      ? `KEYBRAKE_VENDORS takes the secret of ${id} from Secret Manager, which this version cannot read; a valid value is "env:NAME" or "file:PATH".`
      : // The text is not repeated: it may be the secret itself, written where its place belongs.
        `KEYBRAKE_VENDORS must say where the secret of ${id} is, not what it is; a valid value is "env:NAME" or "file:PATH".`,
  );
  return null;
}

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

function readUpstream(id: string, text: string, problems: string[]): string | null {
  const url = URL.canParse(text) ? new URL(text) : null;
  const bare = url !== null && url.pathname === "/" && !url.search && !url.hash && !url.username && !url.password;
  if (url && bare && (url.protocol === "https:" || (url.protocol === "http:" && loopback.test(url.hostname)))) {
    return url.origin;
  }
  problems.push(
    `KEYBRAKE_VENDORS has a wrong "upstream" for ${id}: it must be an https origin without a path (http only on loopback); a valid value is "https://api.example.com".`,
  );
  return null;
}
